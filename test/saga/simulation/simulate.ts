import { boot, type Process } from './boot.ts';
import type { Engine } from './engine.ts';
import { operate } from './operator.ts';
import { World } from './world.ts';

/** What came of a world. */
export interface Outcome {
  readonly seed: number;
  readonly breaches: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
}

/** Run one world of so many sagas to its end. Equal seeds run equally. */
export async function simulate(engine: Engine, seed: number, sagas: number): Promise<Outcome> {
  const world = new World(engine, seed);
  let booted = 0;
  const start = (): Process => {
    booted += 1;
    return boot(world, `worker-${booted}`);
  };
  const processes = [start(), start()];
  const ids = Array.from({ length: sagas }, (_, n) => `w${seed}-${n}`);
  for (const [n, id] of ids.entries()) void beginSomewhere(world, processes, id, n);
  for (let tick = 0; tick < 1_000; tick += 1) {
    await world.clock.advance(200);
    disturb(world, processes, start);
    await operate(world, processes);
    if (world.clock.now() > 10_000 && (await settled(world, ids))) break;
  }
  for (const id of ids) world.judge(id, await world.store.get(id));
  world.ledger.audit();
  return { seed, breaches: world.ledger.breaches, counts: world.counts };
}

/** As a client does: with the same id, until some process says that it is durable. */
async function beginSomewhere(
  world: World,
  processes: readonly Process[],
  id: string,
  n: number,
): Promise<void> {
  await world.pass(world.random() * 5_000);
  for (;;) {
    const { life, runner, saga } = processes[Math.floor(world.random() * processes.length)]!;
    const begun = runner.begin(saga, { n }, { id }).then(
      () => true,
      () => false,
    );
    if (await Promise.race([begun, life.died.then(() => false)])) return;
    await world.pass(100);
  }
}

/** Processes die, freeze and are redeployed; a dead one is replaced. */
function disturb(world: World, processes: Process[], start: () => Process): void {
  for (const [index, { life, runner }] of processes.entries()) {
    const roll = world.isKind ? 1 : world.random();
    if (roll < 0.01) life.kill();
    else if (roll < 0.02) life.freeze(world.random() * 8_000);
    else if (roll < 0.03) {
      world.count('redeploy');
      void runner
        .stop({ timeout: '1s' })
        .then(() => world.pass(5_000))
        .then(() => life.kill());
      processes[index] = start();
    }
    if (!life.alive && processes[index]!.life === life) processes[index] = start();
  }
}

async function settled(world: World, ids: readonly string[]): Promise<boolean> {
  if (world.repairsUnderWay > 0) return false;
  for (const id of ids) {
    const status = (await world.store.get(id))?.status;
    if (status === undefined || status === 'running' || status === 'compensating') return false;
  }
  return true;
}
