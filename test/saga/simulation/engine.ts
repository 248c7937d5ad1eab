import { memorySagaStore } from '../../../src/adapters/memory/saga-store.ts';
import { SagaRunner } from '../../../src/saga/runner.ts';
import { refuse, saga } from '../../../src/saga/saga.ts';

/** What is simulated: the real thing, or a mutant of it. */
export interface Engine {
  readonly SagaRunner: typeof SagaRunner;
  readonly saga: typeof saga;
  readonly refuse: typeof refuse;
  readonly memorySagaStore: typeof memorySagaStore;
}

/** The code as it stands. */
export const engine: Engine = { SagaRunner, saga, refuse, memorySagaStore };
