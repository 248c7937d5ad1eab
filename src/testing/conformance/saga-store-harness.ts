import type { ClaimRequest, Lease, NewSaga, SagaRecord, SagaStore } from '../../ports/saga-store.ts';

/** One store to test, empty. */
export interface SagaStoreHarness {
  readonly store: SagaStore;
  /** Another store on the same data, as another process would open it. */
  readonly another: () => Promise<SagaStore>;
  /** Let this many milliseconds pass on the store's clock. */
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
  return { ...shape, id, input: { sku: 'a', nested: [1, null, 'ü'] }, createdAt };
}

/** Tests by name. */
export type SagaStoreTests = Readonly<Record<string, Test>>;

type Test = (harness: SagaStoreHarness, first: Lease, second: Lease) => Promise<void>;

/** Claim whatever there is of the one definition. */
export function all(limit = 10, holding: readonly string[] = []): ClaimRequest {
  return { definitions: [shape], limit, holding };
}

/** The ids of records. */
export function ids(records: readonly SagaRecord[]): string[] {
  return records.map((record) => record.id);
}
