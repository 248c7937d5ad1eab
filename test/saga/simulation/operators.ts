import type { SagaBook } from './books.ts';
import type { Clients } from './clients.ts';
import type { World } from './world.ts';

/** People look at what is parked now and then, and sometimes two of them at the same saga. */
export function operate(world: World, clients: Clients, parked: Iterable<SagaBook>): void {
  for (const book of [...parked]) {
    for (const chance of [0.12, 0.06]) if (world.random() < chance) repair(world, clients, book);
  }
}

function repair(world: World, clients: Clients, book: SagaBook): void {
  const { workers } = clients;
  const { reason = '', repairs = [] } = book.record!;
  // Whoever tries again must know that the old attempt has ended: a person leaves such a saga alone here.
  if (reason.includes('did not end within')) return;
  const { process, runner } = workers[Math.floor(world.random() * workers.length)]!;
  const unsure = !maySayAgain(world, book);
  const why = { by: 'operator', reason: `repair ${repairs.length + 1}` };
  const roll = unsure ? 0.5 + world.random() / 2 : world.random();
  const { id } = book;
  // Whoever lets it wait again sees to it that what it waits for comes.
  const step = book.record?.parkedAt?.step ?? '';
  const wait = world.places.get(step)?.type === 'wait';
  if (wait && roll < 0.5) void clients.signal(book, step, repairs.length + 10);
  const done =
    roll < 0.5
      ? runner.retry(id, why)
      : roll < 0.9
        ? runner.skip(id, { ...why, ...nameOf(world, book) })
        : runner.resolve(id, why);
  const told = done.then(
    ({ status }) => world.count(`operator: ${status}`),
    (error) => world.count(`operator: ${error?.name}`),
  );
  world.pending += 1;
  void process.hear(told).then(() => {
    world.pending -= 1;
  });
}

/**
 * Some name the step that they pass over, and some do not. A pivot is named by who has seen that it happened, and by
 * nobody else: whoever passes over many in one go does not.
 */
function nameOf(world: World, book: SagaBook): { readonly step?: string | undefined } {
  const step = book.record?.parkedAt?.step;
  const place = world.places.get(step ?? '');
  const mayName = place?.kind === 'pivot' ? book.applied[place.index]! > 0 : world.random() < 0.5;
  return mayName ? { step } : {};
}

/**
 * Whether a person may have it tried again: a step that must not happen twice only when it has not happened, will not
 * any more, and nobody else has said so, since that may still be under way.
 */
function maySayAgain(world: World, book: SagaBook): boolean {
  const place = world.places.get(book.record?.parkedAt?.step ?? '');
  if (!place?.once) return true;
  if (book.applied[place.index]! > 0 || book.triedAgain[place.index]) return false;
  book.triedAgain[place.index] = 1;
  book.generation[place.index]! += 1;
  return true;
}
