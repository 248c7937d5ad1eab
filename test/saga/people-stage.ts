import type { SagaRecord } from '../../src/ports/saga-store.ts';

/** A record as a store gives it, of a saga `checkout` that began at 1,000. */
export function recordOf(change: Partial<SagaRecord> = {}): SagaRecord {
  return {
    ...{
      id: 'o1',
      saga: 'checkout',
      hash: 'h1',
      definitionVersion: 1,
      status: 'running',
      input: {},
      steps: [],
    },
    ...{ epoch: 1, version: 0, claims: 0, createdAt: 1_000, updatedAt: 2_000 },
    ...change,
  };
}
