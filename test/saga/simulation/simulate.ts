import { Clients } from './clients.ts';
import type { Engine } from './engine.ts';
import { judge } from './judge.ts';
import { operate } from './operators.ts';
import { Witness } from './witness.ts';
import { bootWorker, type Worker } from './worker.ts';
import { World } from './world.ts';

/** What came of a world. */
export interface Outcome {
  readonly seed: number;
  readonly breaches: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  /** What happened to the saga that was followed. */
  readonly trace: readonly string[];
}

/** Longer than anything in a world takes, in virtual milliseconds. */
const doomsday = 200_000;
/** When a world that is settled may end: everything that is late has come. */
const earliestEnd = 30_000;
const tick = 500;

/** Run one world of so many sagas to its end. Equal seeds run equally. */
export async function simulate(
  engine: Engine,
  seed: number,
  sagas: number,
  { follow }: { readonly follow?: string | undefined } = {},
): Promise<Outcome> {
  const world = new World(engine, seed);
  world.followed = follow;
  const witness = new Witness(world);
  let booted = 0;
  const boot = (): Worker => {
    booted += 1;
    return bootWorker(world, witness, `worker-${booted}`);
  };
  const workers = Array.from({ length: 2 + (seed % 2) }, boot);
  const clients = new Clients(world, workers);
  for (let n = 0; n < sagas; n += 1) {
    void clients.serve(world.books.open(`w${seed}-${n}`, world.places.size));
  }
  const disturbAgain = (): void => {
    disturb(world, workers, boot);
    operate(world, clients, witness.parked);
    world.time.schedule(tick, disturbAgain);
  };
  world.time.schedule(tick, disturbAgain);
  await world.time.run(() => isOver(world, witness));
  for (const book of world.books.sagas) judge(world, book);
  world.books.audit();
  return { seed, breaches: world.books.breaches, counts: world.counts, trace: world.trace };
}

function isOver({ time, pending }: World, { open }: Witness): boolean {
  const now = time.now();
  return now > earliestEnd && ((pending === 0 && open === 0) || now > doomsday);
}

/** Processes die, freeze, are redeployed and have their clocks set; a dead one is replaced. */
function disturb(world: World, workers: Worker[], boot: () => Worker): void {
  for (const [index, worker] of workers.entries()) {
    const { process } = worker;
    const roll = world.isKind ? 1 : world.random();
    if (roll < 0.02) {
      world.count('crash');
      process.kill();
    } else if (roll < 0.04) {
      world.count('freeze');
      process.freeze(world.random() * 8_000);
    } else if (roll < 0.055) {
      world.count('redeploy');
      void redeploy(world, worker);
      workers[index] = boot();
    } else if (roll < 0.08) {
      world.count('clock set');
      process.skew((world.random() * 2 - 1) * 2_000);
    }
    if (!workers[index]!.process.isAlive) workers[index] = boot();
  }
}

async function redeploy(world: World, { process, runner }: Worker): Promise<void> {
  await runner.stop({ timeout: '1s' });
  await world.pass(5_000);
  process.kill();
}
