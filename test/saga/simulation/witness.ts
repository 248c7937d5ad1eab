import type {
  RepairRecord,
  SagaRecord,
  SagaRequest,
  SagaStatus,
  StepRecord,
} from '../../../src/ports/saga-store.ts';
import type { StoreWitness } from '../../../src/testing/crash-matrix/faulty-store.ts';
import type { Life } from '../../../src/testing/crash-matrix/life.ts';
import type { SagaBook } from './books.ts';
import type { Process } from './process.ts';
import { greatestSkew, lease, type World } from './world.ts';

const none: readonly RepairRecord[] = [];
const finals: readonly SagaStatus[] = ['completed', 'compensated', 'resolved'];

/** Whether a saga needs nobody but a person, or nobody at all. */
export function isSettled(status: SagaStatus): boolean {
  return status === 'parked' || finals.includes(status);
}

/** From which status a step may come to which. */
const steps: Readonly<Record<string, readonly string[]>> = {
  open: ['begun', 'done', 'refused', 'failed', 'omitted'],
  begun: ['open', 'done', 'refused', 'failed'],
  done: ['undone'],
  failed: ['undone'],
  refused: [],
  undone: [],
  omitted: [],
};

/** Watches every write: it must be true, in one direction, and under the newest epoch. */
export class Witness implements StoreWitness {
  readonly #world: World;
  /** Sagas that are written down and not settled. */
  open = 0;
  readonly parked: Set<SagaBook> = new Set();

  constructor(world: World) {
    this.#world = world;
  }

  did(life: Life, operation: string, asked: unknown, answer: unknown): void {
    if (this.#world.followed !== undefined) this.#note(life, operation, asked, answer);
    switch (operation) {
      case 'create': {
        const { created, record } = answer as { created: boolean; record: SagaRecord };
        if (created) this.#keep(this.#book(record.id), record);
        return;
      }
      case 'update':
        if (answer) this.#written(asked as SagaRecord);
        return;
      case 'claim':
        for (const record of answer as readonly SagaRecord[]) this.#claimed(record);
        return;
      case 'take':
        if (answer !== undefined) this.#keep(this.#book(asked as string), answer as SagaRecord);
        return;
      case 'request': {
        const { id, request } = asked as { id: string; request: SagaRequest };
        if (answer === 'added') this.#book(id).requests.push(request);
        return;
      }
    }
  }

  heard(life: Life, operation: string, asked: unknown, answer: unknown, after: number): void {
    const process = life as Process;
    switch (operation) {
      case 'create': {
        const { created, record } = answer as { created: boolean; record: SagaRecord };
        if (created) this.#hold(process, record);
        return;
      }
      case 'claim':
        for (const record of answer as readonly SagaRecord[]) this.#hold(process, record);
        return;
      case 'update':
        this.#heardOfUpdate(process, asked as SagaRecord, answer, after);
        return;
    }
  }

  /** For whoever follows one saga. */
  #note({ name }: Life, operation: string, asked: unknown, answer: unknown): void {
    const made = operation === 'create' ? [(answer as { readonly record: SagaRecord }).record] : [asked];
    const of = operation === 'claim' ? answer : made;
    for (const about of (Array.isArray(of) ? of : []) as (Partial<SagaRecord> | string | undefined)[]) {
      const {
        id,
        status,
        epoch,
        reason,
        steps: all = [],
      } = typeof about === 'object' ? about : { id: about };
      const state = all.map((step) => `${step.name} ${step.status}`).join(', ');
      const said =
        operation === 'claim' || operation === 'create' ? '' : JSON.stringify(answer)?.slice(0, 80);
      if (id !== undefined)
        this.#world.note(id, name, `${operation} ${epoch} ${status} [${state}] ${reason ?? ''} → ${said}`);
    }
  }

  #book(id: string): SagaBook {
    return this.#world.books.byId.get(id)!;
  }

  #hold(process: Process, { id, epoch }: SagaRecord): void {
    const { n } = this.#book(id);
    if ((process.told.get(n) ?? 0) < epoch) process.told.set(n, epoch);
  }

  #heardOfUpdate(process: Process, record: SagaRecord, answer: unknown, after: number): void {
    const book = this.#book(record.id);
    // A repair holds what it took once it is written.
    if (answer) {
      this.#hold(process, record);
      return;
    }
    // Nobody waits any more for an answer that is later than a third of the lease: it tells nothing. And a write that
    // found its own earlier try in the store is none that was fenced.
    if (after >= lease / 3 || book.record!.epoch <= record.epoch) return;
    if ((process.lost.get(book.n) ?? 0) < record.epoch) process.lost.set(book.n, record.epoch);
  }

  #claimed(record: SagaRecord): void {
    const book = this.#book(record.id);
    const { record: before } = book;
    const { books, time } = this.#world;
    if (before?.status === 'waiting') {
      const early = before.wakeAt === undefined || before.wakeAt > time.wallTime();
      if (early && book.requests.length === 0) books.breach(book, 'it was claimed while it waited');
    }
    this.#keep(book, record);
  }

  #keep(book: SagaBook, record: SagaRecord): void {
    const before = book.record?.status;
    book.record = record;
    const { status } = record;
    if (before === status) return;
    const wasOpen = before !== undefined && !isSettled(before);
    if (!isSettled(status)) this.open += wasOpen ? 0 : 1;
    else if (wasOpen) this.open -= 1;
    if (status === 'parked') this.parked.add(book);
    else this.parked.delete(book);
  }

  #written(record: SagaRecord): void {
    const book = this.#book(record.id);
    const before = book.record!;
    const { books } = this.#world;
    const { epoch, status } = record;
    if (epoch < before.epoch) books.breach(book, `epoch ${epoch} wrote over epoch ${before.epoch}`);
    if (finals.includes(before.status)) books.breach(book, `${before.status} became ${status}`);
    if (book.turned && (status === 'running' || status === 'waiting' || status === 'completed')) {
      books.breach(book, `it turned forward again, to ${status}`);
    }
    if (status === 'compensating' || status === 'compensated') this.#turned(book, before);
    this.#witnessRepairs(book, record, before);
    this.#witnessSteps(book, record, before);
    this.#keep(book, record);
  }

  #turned(book: SagaBook, before: SagaRecord): void {
    book.turned = true;
    const pivot = before.steps.find((s) => this.#world.places.get(s.name)?.kind === 'pivot');
    if (pivot?.status === 'done') this.#world.books.breach(book, 'it turned back after its pivot');
  }

  /** What is parked is touched by repairs only, and each is written down once, for ever. */
  #witnessRepairs(book: SagaBook, { status, repairs = none }: SagaRecord, before: SagaRecord): void {
    const { repairs: known = none } = before;
    const added = before.status === 'parked' ? 1 : 0;
    if (added === 0 && repairs === known) return;
    // That a cancel came while it was parked is written into the repair that did not heed it.
    const text = ({ requests: _, ...rest }: RepairRecord): string => JSON.stringify(rest);
    const kept = known.every((r, index) => repairs[index] !== undefined && text(r) === text(repairs[index]));
    if (!kept || repairs.length !== known.length + added) {
      this.#world.books.breach(book, `${repairs.length} repairs are written after ${known.length}`);
    }
    if (added > 0) this.#world.count(`repaired to ${status}`);
  }

  #witnessSteps(book: SagaBook, record: SagaRecord, before: SagaRecord): void {
    const { books, places } = this.#world;
    const [known, written] = [before.steps, record.steps];
    for (let index = 0; index < known.length; index += 1) {
      const [was, now] = [known[index]!, written[index]];
      if (now === was) continue;
      if (now?.name !== was.name) books.breach(book, `step ${was.name} was forgotten`);
      else if (now.status !== was.status && !steps[was.status]!.includes(now.status)) {
        books.breach(book, `step ${was.name} went from ${was.status} to ${now.status}`);
      }
    }
    for (let index = 0; index < written.length; index += 1) {
      const [was, step] = [known[index], written[index]!];
      if (step === was || step.status === was?.status) continue;
      if (!places.has(step.name)) books.breach(book, `there is no step ${step.name}`);
      else this.#witnessStep(book, step);
    }
  }

  #witnessStep(book: SagaBook, step: StepRecord): void {
    const { name, status } = step;
    const { books, places } = this.#world;
    const place = places.get(name)!;
    const { index, type } = place;
    if (step.skipped) {
      this.#witnessSkip(book, step);
      return;
    }
    if (type === 'delay' && status === 'done') this.#witnessDelay(book, step);
    if (type === 'wait' && status === 'done') this.#witnessSignal(book, step);
    if (type !== 'call') return;
    if (status === 'done' && book.applied[index] === 0) {
      books.breach(book, `step ${name} is written before it is done`);
    }
    if (status === 'refused' && book.live[index])
      books.breach(book, `step ${name} is refused and has its effect`);
    if (status === 'undone' && (book.live[index] || !book.undone[index])) {
      books.breach(book, `step ${name} is written before it is undone`);
    }
  }

  /** Only what comes after the pivot, or was to be undone, may be passed over; and a pivot that happened, if it was named. */
  #witnessSkip(book: SagaBook, { name, status }: StepRecord): void {
    const { index, kind, once } = this.#world.places.get(name)!;
    const happened = kind === 'pivot' && once && book.applied[index]! > 0;
    const honest = status === 'done' ? kind === 'retriable' || happened : kind === 'compensatable';
    if (happened) this.#world.count('operator: the pivot happened');
    if (!honest) this.#world.books.breach(book, `step ${name} is skipped as ${status}`);
    book.skipped[index] = 1;
  }

  #witnessDelay(book: SagaBook, step: StepRecord): void {
    const { time, books } = this.#world;
    const { name } = step;
    const until = step.until ?? book.stepRecord(name)?.until;
    if (until === undefined) books.breach(book, `delay ${name} has no time`);
    else if (until > time.wallTime() + greatestSkew) books.breach(book, `delay ${name} ended too early`);
  }

  /** A signal that ends a wait was sent, carries what is recorded, and is the first of its name that was not used. */
  #witnessSignal(book: SagaBook, step: StepRecord): void {
    const { books, time } = this.#world;
    const { name, request, output } = step;
    const until = step.until ?? book.stepRecord(name)?.until;
    if (request === undefined) {
      if (until === undefined) books.breach(book, `wait ${name} ended without a signal`);
      else if (until > time.wallTime() + greatestSkew) books.breach(book, `wait ${name} timed out too early`);
      return;
    }
    const sent = book.requests.find((r) => r.type === 'signal' && r.name === name);
    if (sent?.id !== request) books.breach(book, `wait ${name} took ${request}, and ${sent?.id} came first`);
    if (sent !== undefined && JSON.stringify(sent.payload) !== JSON.stringify(output)) {
      books.breach(book, `wait ${name} got ${JSON.stringify(output)}`);
    }
  }
}
