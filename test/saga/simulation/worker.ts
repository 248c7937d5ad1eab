import type { SagaRunner } from '../../../src/saga/runner.ts';
import type { Saga } from '../../../src/saga/saga-phases.ts';
import { faultyStore } from '../../../src/testing/crash-matrix/faulty-store.ts';
import { Participant } from './participant.ts';
import { Process } from './process.ts';
import { buildSaga, placesOf } from './shape.ts';
import type { Witness } from './witness.ts';
import { greatestSkew, lease, type World } from './world.ts';

/** A process with a runner in it, which is starting. */
export interface Worker {
  readonly process: Process;
  readonly runner: SagaRunner;
  readonly saga: Saga;
}

export function bootWorker(world: World, witness: Witness, id: string): Worker {
  const process = new Process(id, world.time);
  process.skew((world.random() * 2 - 1) * greatestSkew);
  const participant = new Participant(world, process);
  const saga = buildSaga(world.engine, world.shape, world.places, participant);
  if (world.places.size === 0) {
    for (const [name, place] of placesOf(saga, world.shape)) world.places.set(name, place);
  }
  const runner = new world.engine.SagaRunner({
    store: faultyStore(world.store, process, world, witness),
    sagas: [saga],
    lease,
    pollInterval: 400,
    attemptTimeout: 2_000,
    settleTimeout: 15_000,
    concurrency: 64,
    retry: { attempts: 6, base: 50, max: 500 },
    runtime: { clock: process.clock, random: world.random, id: counter(id) },
  });
  runner.start().catch(() => process.kill());
  return { process, runner, saga };
}

/** Ids of one process: the first is its name. */
function counter(name: string): () => string {
  let made = 0;
  return () => {
    made += 1;
    return made === 1 ? name : `${name}-${made}`;
  };
}
