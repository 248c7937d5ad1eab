import { TimedCall, TimeLimit } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { InvalidPayloadError, StoreError } from '../core/errors.ts';
import { settle, unlimitedCall } from '../core/policy.ts';
import type { SagaRecord, SagaStore, Written } from '../ports/saga-store.ts';
import type { SagaEvents } from './saga-events.ts';

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

  /** {@link SagaStore.update}, which is called more often than all the rest. @throws What {@link StoreCalls.call} throws. */
  update(record: SagaRecord): Promise<Written | undefined> {
    const limit = this.#limit;
    const now = limit.clock.now();
    const call = new TimedCall(unlimitedCall, now + limit.length, limit);
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => reject(this.#failed('update', cause));
      call.begin(now, false, undefined, fail);
      settle(() => this.#store.update(record), call).then(
        (written) => call.settled(resolve, written),
        (error) => call.settled(fail, error),
      );
    });
  }

  #failed(operation: string, cause: unknown): StoreError | InvalidPayloadError {
    const told = cause instanceof StoreError || cause instanceof InvalidPayloadError;
    const error = told ? cause : new StoreError(this.#store.name, operation, cause);
    this.#emitter.emit('storeFailed', { operation, error });
    return error;
  }

  /**
   * @throws InvalidPayloadError when the store says that it will never do it.
   * @throws StoreError whatever else the store throws, and when it does not answer in time.
   */
  async call<T>(operation: string, work: (store: SagaStore) => Promise<T>): Promise<T> {
    try {
      return await this.#limit.run(unlimitedCall, () => work(this.#store));
    } catch (cause) {
      throw this.#failed(operation, cause);
    }
  }
}
