import type { SagaBook } from './books.ts';
import { isSettled } from './witness.ts';
import type { World } from './world.ts';

/** Check a saga's end against the books. */
export function judge(world: World, book: SagaBook): void {
  const { books, places } = world;
  const breach = (text: string): void => books.breach(book, text);
  const { record } = book;
  if (record === undefined) {
    breach('it is lost');
    return;
  }
  const { status } = record;
  world.count(status);
  if (!isSettled(status)) breach(`it is stuck ${status}`);
  if (status === 'parked' && !record.reason) breach('it is parked without a reason');
  if (status === 'compensated' && !record.reason) breach('it is compensated without a reason');
  const all = [...places.values()].filter((p) => p.type === 'call' && !book.skipped[p.index]);
  if (status === 'completed') {
    const missing = all.filter((p) => !book.live[p.index] && book.stepRecord(p.name)?.status !== 'omitted');
    if (missing.length > 0) breach(`it is completed without ${missing.map((p) => p.name)}`);
    const more = all.filter((p) => book.live[p.index] && book.stepRecord(p.name)?.status === 'omitted');
    if (more.length > 0) breach(`it is completed with ${more.map((p) => p.name)}, which it omitted`);
  }
  if (status === 'compensated') {
    const left = all.filter((p) => book.live[p.index] && (p.undoable || p.kind !== 'compensatable'));
    if (left.length > 0) breach(`it is compensated and has ${left.map((p) => p.name)}`);
  }
  judgeAnswers(world, book);
}

/** A caller that cancelled was told one thing, and it was true. */
function judgeAnswers({ books, places }: World, book: SagaBook): void {
  if (book.answers.length === 0) return;
  if (new Set(book.answers).size > 1) books.breach(book, `its cancel was answered ${book.answers}`);
  const { status } = book.record!;
  const pivot = [...places.values()].find((p) => p.kind === 'pivot');
  const decided = pivot !== undefined && book.live[pivot.index] === 1;
  if (book.answers[0] === 'accepted' && (status === 'completed' || decided)) {
    books.breach(book, `its cancel was accepted, and it is ${status}`);
  }
}
