/** What must hold whenever a worker calls a participant. */
import type { SagaBook } from './books.ts';
import type { Process } from './process.ts';
import type { Place } from './shape.ts';
import type { World } from './world.ts';

/** Whether this process is the one whose word is in the store. */
function isNewest(process: Process, book: SagaBook): boolean {
  return process.told.get(book.n) === book.record?.epoch;
}

function expectOwned({ books }: World, process: Process, book: SagaBook, what: string): void {
  if (process.isFenced(book.n)) books.breach(book, `${what} by a worker that was fenced`);
}

/** A step is about to be done. */
export function expectForward(world: World, process: Process, book: SagaBook, place: Place): void {
  if (!process.isAlive) return;
  const { books } = world;
  const { name, index } = place;
  expectOwned(world, process, book, `do ${name}`);
  if (process.isFenced(book.n) || !isNewest(process, book)) return;
  const { status } = book.record!;
  const durable = book.stepRecord(name);
  if (status !== 'running') books.breach(book, `do ${name} of a saga that is written down as ${status}`);
  if (durable?.status === 'done' || durable?.status === 'omitted') {
    books.breach(book, `do ${name}, which is written down as ${durable.status}`);
  }
  if (place.conditional && durable === undefined) {
    books.breach(book, `do ${name} before its condition is written down`);
  }
  if (place.once && durable?.status !== 'begun') {
    books.breach(book, `do ${name} before it is written down that it begins`);
  }
  if (process.isUnderWay(book.n, index)) books.breach(book, `do ${name} twice at the same time`);
  for (const before of world.places.values()) {
    if (before.unit >= place.unit) break;
    expectPassed(world, book, before, place);
  }
}

/** Whether what comes before a step is over. */
function expectPassed({ books }: World, book: SagaBook, before: Place, place: Place): void {
  if (book.skipped[before.index]) return;
  const status = book.stepRecord(before.name)?.status;
  if (status === 'omitted') return;
  const passed = before.type === 'call' ? book.applied[before.index]! > 0 : status === 'done';
  if (!passed) books.breach(book, `do ${place.name} before ${before.name}`);
}

/** A step is about to be undone. */
export function expectBackward(world: World, process: Process, book: SagaBook, place: Place): void {
  if (!process.isAlive) return;
  const { books, places } = world;
  const { name, unit, index } = place;
  expectOwned(world, process, book, `undo ${name}`);
  if (!process.isFenced(book.n) && isNewest(process, book) && book.record!.status !== 'compensating') {
    books.breach(book, `undo ${name} of a saga that is written down as ${book.record!.status}`);
  }
  for (const other of places.values()) {
    const sameUnit = other.unit === unit;
    if (sameUnit && process.isUnderWay(book.n, other.index)) {
      books.breach(book, `undo ${name} while ${other.name} is under way`);
    }
    if (other.kind === 'pivot' && book.applied[other.index]! > 0) {
      books.breach(book, `undo ${name} after the pivot had its effect`);
    }
    const later = other.unit > unit || (sameUnit && other.index > index && !other.concurrent);
    const excused = !other.undoable || book.skipped[other.index];
    if (later && book.live[other.index] && !excused)
      books.breach(book, `undo ${name} before undo ${other.name}`);
  }
}
