import type { SagaRecord } from '../../../src/ports/saga-store.ts';
import type { Process } from './boot.ts';
import type { World } from './world.ts';

/** People look at what is parked now and then, and sometimes two of them at the same saga. */
export async function operate(world: World, processes: readonly Process[]): Promise<void> {
  for (const record of await world.store.list({ status: 'parked', limit: 1_000 })) {
    const people = [0.06, 0.03].filter((chance) => world.random() < chance);
    for (const _person of people) repair(world, processes, record);
  }
}

function repair(
  world: World,
  processes: readonly Process[],
  { id, reason = '', repairs = [] }: SagaRecord,
): void {
  // Whoever tries again must know that the old attempt has ended: a person leaves such a saga alone here.
  if (reason.includes('did not end within')) return;
  const { life, runner } = processes[Math.floor(world.random() * processes.length)]!;
  const why = { by: 'operator', reason: `repair ${repairs.length + 1}` };
  const roll = world.random();
  const done =
    roll < 0.5 ? runner.retry(id, why) : roll < 0.9 ? runner.skip(id, why) : runner.resolve(id, why);
  const told = done.then(
    ({ status }) => world.count(`operator: ${status}`),
    (error) => world.count(`operator: ${error?.name}`),
  );
  world.repairsUnderWay += 1;
  void Promise.race([told, life.died]).then(() => {
    world.repairsUnderWay -= 1;
  });
}
