import type { JsonValue } from '../../core/json.ts';
import type {
  ClaimedSaga,
  ClaimRequest,
  Lease,
  NewSaga,
  SagaRecord,
  SagaRequest,
  SagaStore,
} from '../../ports/saga-store.ts';

/** One store to test, empty. */
export interface SagaStoreHarness {
  readonly store: SagaStore;
  /** Another store on the same data, as another process would open it. */
  readonly another: () => Promise<SagaStore>;
  /** Wall time by the store's clock, in milliseconds. */
  readonly now: () => number;
  /**
   * Let this many milliseconds pass on the store's clock. Where that is a server's, move the ends of leases and the times
   * at which sagas are due that far into the past instead: then no test depends on how long anything takes.
   */
  readonly pass: (duration: number) => Promise<void>;
  /** Spoil what is stored of a saga, so that it cannot be decoded. Without it, declare the exception. */
  readonly corrupt?: ((id: string) => Promise<void>) | undefined;
  /** Take everything away. */
  readonly dispose: () => Promise<void>;
}

/** The one definition that the tests know. */
export const shape: Pick<SagaRecord, 'saga' | 'hash'> = { saga: 'checkout', hash: 'h1' };

/** A saga to begin. */
export function newSaga(id: string, createdAt = 1_000): NewSaga {
  const input = { sku: 'a', nested: [1, null, 'ü'] };
  return { ...shape, id, definitionVersion: 1, status: 'running', input, steps: [], createdAt };
}

/** Tests by name. */
export type SagaStoreTests = Readonly<Record<string, Test>>;

type Test = (harness: SagaStoreHarness, first: Lease, second: Lease) => Promise<void>;

/** Claim whatever there is of the one definition. */
export function all(limitEach = 10, holding: readonly string[] = []): ClaimRequest {
  return { definitions: [shape], limitEach, holding, maxClaims: 10 };
}

/** A signal. */
export function signal(id: string, payload: JsonValue = null): SagaRequest {
  return { id, type: 'signal', name: 'approval', payload, at: 1_000.5 };
}

/** A cancel. */
export function cancel(id: string): SagaRequest {
  return { id, type: 'cancel', reason: 'changed her mind', at: 1_001.5 };
}

/** Claimed records, without when they were claimed. */
export function unclaimed(records: readonly ClaimedSaga[]): SagaRecord[] {
  return records.map(({ claimedAt: _, ...record }) => record);
}

/** The ids of records. */
export function ids(records: readonly SagaRecord[]): string[] {
  return records.map((record) => record.id);
}
