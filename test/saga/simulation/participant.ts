import type { StepContext, UndoContext } from '../../../src/saga/saga-types.ts';
import { silence } from '../../../src/testing/crash-matrix/life.ts';
import type { SagaBook } from './books.ts';
import { expectBackward, expectForward } from './conscience.ts';
import type { Process } from './process.ts';
import type { Doer, Place } from './shape.ts';
import type { Conduct, World } from './world.ts';

type AnyStep = StepContext<unknown, unknown>;
type AnyUndo = UndoContext<unknown, unknown, unknown>;

/** Calls participants on behalf of one process, with everything that can go wrong on the way there and back. */
export class Participant implements Doer {
  readonly #world: World;
  readonly #process: Process;

  constructor(world: World, process: Process) {
    this.#world = world;
    this.#process = process;
  }

  when(): boolean {
    return this.#world.random() < 0.6;
  }

  do(place: Place, context: AnyStep): number | Promise<number> {
    const book = this.#book(context);
    this.#note(book, `do ${place.name}, attempt ${context.attempt}`);
    expectForward(this.#world, this.#process, book, place);
    const conduct = this.#world.conduct(book.n, place);
    const generation = book.generation[place.index]!;
    // What a process does by itself is over before anything else can happen.
    if (conduct === 'do' && this.#process.isAwake && this.#world.random() < 0.5) {
      return this.#perform(place, book, context.key, conduct, generation);
    }
    return this.#doInTime(place, book, context, conduct, generation);
  }

  async #doInTime(
    place: Place,
    book: SagaBook,
    context: AnyStep,
    conduct: Conduct,
    generation: number,
  ): Promise<number> {
    this.#process.begin(book.n, place.index);
    try {
      if (conduct !== 'do') await this.#travel(conduct, context);
      else if (!this.#process.isAwake) await this.#process.awake();
      return await this.#perform(place, book, context.key, conduct, generation);
    } finally {
      this.#process.end(book.n, place.index);
    }
  }

  #perform(
    place: Place,
    book: SagaBook,
    key: string,
    conduct: Conduct,
    generation: number,
  ): number | Promise<number> {
    const { books, engine } = this.#world;
    // Nothing but its lease keeps a process that froze from calling late; whoever cannot know keys shuts it out.
    if (place.once && this.#process.told.get(book.n) !== book.record?.epoch) throw new Error('shut out');
    const known = books.known(key);
    if (known === 'barred') return engine.refuse('barred', { conclusive: true });
    if (generation !== book.generation[place.index]) return engine.refuse('it was said not to happen');
    if (known === 'applied' && !place.once) return place.index;
    if (conduct === 'refuse') return this.#refuse(place, key);
    if (conduct === 'fail without effect') throw new Error('it did not work');
    books.apply(book, place, key);
    this.#note(book, `did ${place.name} (${conduct})`);
    return conduct === 'do' && this.#process.isAwake ? place.index : this.#answer(conduct, place);
  }

  /** Asked whether a `once` step happened. What has not happened by then never will under this attempt. */
  async query(place: Place, context: AnyStep): Promise<{ happened: boolean; result?: unknown }> {
    const book = this.#book(context);
    if (!this.#process.isAwake) await this.#process.awake();
    if (!this.#world.isKind && this.#world.random() < 0.2) throw new Error('it could not be asked');
    this.#note(book, `ask ${place.name}`);
    if (book.applied[place.index]! > 0) return { happened: true, result: place.index };
    book.generation[place.index]! += 1;
    return { happened: false };
  }

  undo(place: Place, context: AnyUndo): void | Promise<void> {
    const book = this.#book(context);
    this.#note(book, `undo ${place.name}`);
    expectBackward(this.#world, this.#process, book, place);
    const conduct = this.#world.undoConduct(book.n);
    if (conduct === 'do' && this.#process.isAwake && this.#world.random() < 0.5) {
      this.#world.books.revert(book, place, context.key, context.forwardKey);
      return;
    }
    return this.#undoInTime(place, book, context, conduct);
  }

  async #undoInTime(place: Place, book: SagaBook, context: AnyUndo, conduct: Conduct): Promise<void> {
    if (conduct !== 'do') await this.#travel(conduct, context);
    else if (!this.#process.isAwake) await this.#process.awake();
    if (conduct === 'fail without effect') throw new Error('it did not work');
    this.#world.books.revert(book, place, context.key, context.forwardKey);
    if (conduct !== 'do' || !this.#process.isAwake) await this.#answer(conduct, place);
  }

  #note({ id }: SagaBook, what: string): void {
    if (this.#world.followed === id) this.#world.note(id, this.#process.name, what);
  }

  #book({ sagaId }: AnyStep): SagaBook {
    return this.#world.books.byId.get(sagaId)!;
  }

  async #answer(conduct: Conduct, { index }: Place): Promise<number> {
    if (conduct === 'crash after') {
      this.#process.kill();
      return silence();
    }
    if (conduct === 'fail with effect') throw new Error('the answer was lost');
    await this.#process.awake();
    return index;
  }

  /** Without memory of keys it speaks for this attempt only; with it, it keeps its word for all. */
  #refuse({ once }: Place, key: string): never {
    const conclusive = !once && this.#world.random() < 0.5;
    if (conclusive) this.#world.books.bar(key);
    return this.#world.engine.refuse('no', { conclusive });
  }

  async #travel(conduct: Conduct, context: { readonly signal: AbortSignal }): Promise<void> {
    if (conduct === 'crash before') this.#process.kill();
    await this.#process.awake();
    if (conduct === 'slow') await this.#world.pass(this.#world.delay());
    if (conduct === 'hang') await this.#untilAborted(context.signal);
  }

  /** A request that hangs is given up with its signal; what it was about may still happen. */
  async #untilAborted(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (this.#world.random() < 0.5) throw new Error('aborted');
  }
}
