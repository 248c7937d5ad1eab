import { z } from 'zod';
import type { SagaRunner } from '../../../src/saga/runner.ts';
import type { CommittedSaga, CompensatableSaga, Saga } from '../../../src/saga/saga-phases.ts';
import { Incarnation } from './incarnation.ts';
import { Participant } from './participant.ts';
import { lease, type World } from './world.ts';

const input = z.object({ n: z.number() });
type Open = CompensatableSaga<{ n: number }, { readonly n: number }, Record<never, never>>;
type Committed = CommittedSaga<{ n: number }, { readonly n: number }, Record<never, never>>;

/** A process with a runner in it. */
export interface Process {
  readonly life: Incarnation;
  readonly runner: SagaRunner;
  readonly saga: Saga;
}

/** Start a process; its runner is still starting. */
export function boot(world: World, id: string): Process {
  const life = new Incarnation(world);
  const saga = declare(world, new Participant(world, life));
  const runner = new world.engine.SagaRunner({
    store: life.store,
    sagas: [saga],
    lease,
    pollInterval: 400,
    attemptTimeout: 2_000,
    settleTimeout: 15_000,
    concurrency: 16,
    retry: { attempts: 6, base: 50, max: 500 },
    runtime: { clock: life.clock, random: world.random, id: () => id },
  });
  runner.start().catch(() => life.kill());
  return { life, runner, saga };
}

/** The steps' names are not known to the compiler here, so their results are left out of the types. */
function declare(world: World, participant: Participant): Saga {
  const { compensatable, pivot, steps, harmless } = world.shape;
  let open = world.engine.saga('simulated', { input }) as Open;
  for (let n = 0; n < compensatable; n += 1) {
    const undo = harmless.has(n)
      ? ('nothing' as const)
      : (context: Parameters<Participant['undo']>[1]): Promise<void> => participant.undo(n, context);
    open = open.step(`s${n}`, (context) => participant.do(n, context), { undo }) as unknown as Open;
  }
  if (pivot === undefined) return open;
  let committed = open.pivot('pivot', (context) => participant.do(pivot, context)) as unknown as Committed;
  for (let n = pivot + 1; n < steps; n += 1) {
    committed = committed.step(`s${n}`, (context) => participant.do(n, context)) as unknown as Committed;
  }
  return committed;
}
