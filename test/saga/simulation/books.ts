/**
 * The participants' own books: what really happened, whatever the saga's journal says. They deduplicate by key and know
 * barriers, as the guide asks of participants, and whatever breaks a rule is noted.
 */
import type { SagaRecord, SagaRequest } from '../../../src/ports/saga-store.ts';
import type { Place } from './shape.ts';

/** What a caller was told about its cancel. */
export type CancelAnswer = 'accepted' | 'tooLate';

/** All that is known of one saga. */
export class SagaBook {
  readonly n: number;
  readonly id: string;
  /** As it stands in the store. */
  record: SagaRecord | undefined = undefined;
  /** Whether it was written down that it goes back. */
  turned = false;
  readonly requests: SagaRequest[] = [];
  readonly answers: CancelAnswer[] = [];
  /** By the index of the step: how often it had its effect, under any key. */
  readonly applied: Uint8Array;
  /** Whether the effect is there now. */
  readonly live: Uint8Array;
  readonly undone: Uint8Array;
  /** An operator skipped it, or its undo. What is written of it need not be so. */
  readonly skipped: Uint8Array;
  /** Calls of a `once` step that came before this are refused. */
  readonly generation: Uint8Array;
  /** A person had a `once` step tried again. */
  readonly triedAgain: Uint8Array;
  /** What it has moved; all of them together with the bank's counter-entries must be nothing. */
  balance = 0;

  constructor(n: number, id: string, places: number) {
    this.n = n;
    this.id = id;
    this.applied = new Uint8Array(places);
    this.live = new Uint8Array(places);
    this.undone = new Uint8Array(places);
    this.skipped = new Uint8Array(places);
    this.generation = new Uint8Array(places);
    this.triedAgain = new Uint8Array(places);
  }

  /** The durable record of a step. */
  stepRecord(name: string): SagaRecord['steps'][number] | undefined {
    const steps = this.record?.steps;
    if (steps === undefined) return undefined;
    for (const step of steps) if (step.name === name) return step;
    return undefined;
  }
}

export class Books {
  readonly breaches: string[] = [];
  readonly sagas: SagaBook[] = [];
  readonly byId: Map<string, SagaBook> = new Map();
  #bank = 0;
  readonly #keys: Map<string, 'applied' | 'barred'> = new Map();

  breach(book: SagaBook | undefined, text: string): void {
    this.breaches.push(book === undefined ? text : `${book.id}: ${text}`);
  }

  open(id: string, places: number): SagaBook {
    const book = new SagaBook(this.sagas.length, id, places);
    this.sagas.push(book);
    this.byId.set(id, book);
    return book;
  }

  /** Whether the key had its effect, or never will, or is new. */
  known(key: string): 'applied' | 'barred' | undefined {
    return this.#keys.get(key);
  }

  /** Have the effect: once per key, or, where the participant has no memory, each time. */
  apply(book: SagaBook, { index, once }: Place, key: string): void {
    if (!once && this.#keys.has(key)) return;
    this.#keys.set(key, 'applied');
    book.applied[index]! += 1;
    book.live[index] = 1;
    if (book.applied[index]! > 1)
      this.breach(book, `step ${index} had its effect ${book.applied[index]} times`);
    this.#move(book, 2 ** index);
  }

  /** Never have the effect of this key. */
  bar(key: string): void {
    if (!this.#keys.has(key)) this.#keys.set(key, 'barred');
  }

  /** Take the effect back, if it is there; and if it is not, see to it that it never comes. */
  revert(book: SagaBook, { index }: Place, key: string, forwardKey: string): void {
    this.bar(forwardKey);
    if (this.#keys.has(key)) return;
    this.#keys.set(key, 'applied');
    book.undone[index] = 1;
    if (book.live[index] === 0) return;
    book.live[index] = 0;
    this.#move(book, -(2 ** index));
  }

  #move(book: SagaBook, amount: number): void {
    book.balance += amount;
    this.#bank -= amount;
  }

  /** Check that money is neither made nor lost. */
  audit(): void {
    let sum = this.#bank;
    for (const { balance } of this.sagas) sum += balance;
    if (sum !== 0) this.breach(undefined, `money was not conserved: ${sum}`);
  }
}
