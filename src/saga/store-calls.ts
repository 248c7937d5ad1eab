import { TimedCall, TimeLimit } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { InvalidPayloadError, StoreError } from '../core/errors.ts';
import { settle, unlimitedCall } from '../core/policy.ts';
import type { SagaStore } from '../ports/saga-store.ts';
import type { SagaEvents } from './saga-events.ts';

/** How long a store may take to get ready, at least, in milliseconds. */
const startLimit = 60_000;

/** Calls a store so that a call that hangs fails, and every failure is told. */
export class StoreCalls {
  readonly #store: SagaStore;
  readonly #limit: TimeLimit;
  readonly #emitter: Emitter<SagaEvents>;

  /** @param limit the longest that one call may take, in milliseconds */
  constructor(store: SagaStore, clock: Clock, limit: number, emitter: Emitter<SagaEvents>) {
    this.#store = store;
    this.#limit = new TimeLimit(clock, limit);
    this.#emitter = emitter;
  }

  #failed(operation: string, cause: unknown): StoreError | InvalidPayloadError {
    const told = cause instanceof StoreError || cause instanceof InvalidPayloadError;
    const error = told ? cause : new StoreError(this.#store.name, operation, cause);
    this.#emitter.emit('storeFailed', { operation, error });
    return error;
  }

  /** Prepare the store. Tables may have to be migrated, which no lease waits for. @throws StoreError. */
  start(): Promise<void> {
    const limit = new TimeLimit(this.#limit.clock, Math.max(startLimit, this.#limit.length));
    return this.#within(limit, 'start', (store) => store.start());
  }

  /**
   * @throws InvalidPayloadError when the store says that it will never do it.
   * @throws StoreError whatever else the store throws, and when it does not answer in time.
   */
  call<T>(operation: string, work: (store: SagaStore) => Promise<T>): Promise<T> {
    return this.#within(this.#limit, operation, work);
  }

  #within<T>(limit: TimeLimit, operation: string, work: (store: SagaStore) => Promise<T>): Promise<T> {
    const now = limit.clock.now();
    const call = new TimedCall(unlimitedCall, now + limit.length, limit);
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => reject(this.#failed(operation, cause));
      call.begin(now, false, undefined, fail);
      settle(() => work(this.#store), call).then(
        (result) => call.settled(resolve, result),
        (error) => call.settled(fail, error),
      );
    });
  }
}
