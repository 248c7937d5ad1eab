import { sleep } from '../core/clock.ts';
import { type Duration, milliseconds } from '../core/duration.ts';
import { Emitter } from '../core/emitter.ts';
import { InvalidPayloadError, UnknownSagaError } from '../core/errors.ts';
import { durationOption, methodsOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { RepairAction, SagaQuery, SagaRecord, SagaStore } from '../ports/saga-store.ts';
import { parseQuery } from './queries.ts';
import { parseBlame, parseRepair, type RepairOptions, type SkipOptions } from './repair.ts';
import { RepairDesk } from './repair-desk.ts';
import { StoreCalls } from './store-calls.ts';
import { type TimelineEntry, timeline } from './timeline.ts';
import { type CancelOutcome, cancelOutcome, pendingCancel } from './turning.ts';

/** Options of {@link SagaOperator}. */
export interface SagaOperatorOptions {
  /** Where the sagas are. It is not closed here. */
  readonly store: SagaStore;
  /** How long a saga that is being repaired is kept from runners, should this process die meanwhile. Default 10 s. */
  readonly lease?: Duration | undefined;
  /** How often to look whether a cancel is decided. Default 500 ms. */
  readonly pollInterval?: Duration | undefined;
  /** Clock and ids. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Options of {@link SagaOperator.cancel}. */
export interface OperatorCancelOptions extends RepairOptions {
  /** How long to wait for the decision. Default: not at all. */
  readonly wait?: Duration | undefined;
}

const optionsSchema = z.strictObject({
  store: methodsOption<SagaStore>('a saga store, such as sqliteSagaStore({ database })', 'take', 'update'),
  lease: durationOption(1).default(10_000),
  pollInterval: durationOption(1).default(500),
  runtime: runtimeOption(),
});

/**
 * What a person may do to sagas by their store alone, without their definitions: the means of the command line and of
 * admin pages. It runs nothing: what it releases, a runner that knows the saga goes on with.
 *
 * @throws InvalidOptionsError from the constructor.
 */
export class SagaOperator {
  readonly #store: StoreCalls;
  readonly #runtime: Runtime;
  readonly #desk: RepairDesk;
  readonly #pollInterval: number;

  constructor(options: SagaOperatorOptions) {
    const { store, lease: ttl, pollInterval, runtime } = parseOptions('SagaOperator', optionsSchema, options);
    this.#runtime = resolveRuntime(runtime);
    this.#pollInterval = pollInterval;
    const { clock } = this.#runtime;
    this.#store = new StoreCalls(
      store,
      clock,
      ttl,
      new Emitter('saga-operator', 'sagas', this.#runtime.telemetry),
    );
    this.#desk = new RepairDesk({
      store: this.#store,
      runtime: this.#runtime,
      lease: { owner: this.#runtime.id(), ttl },
      planOf: () => undefined,
      confirm: () => {},
    });
  }

  /** Prepare the store: create its tables or bring them up to date. @throws StoreError. */
  async start(): Promise<this> {
    await this.#store.start();
    return this;
  }

  /** A saga's record. @throws UnknownSagaError when there is none; StoreError. */
  async get(id: string): Promise<SagaRecord> {
    const record = await this.#store.call('get', (store) => store.get(id));
    if (record === undefined) throw new UnknownSagaError(`there is no saga ${id} in the store`);
    return record;
  }

  /** Records that match, newest first; at most 100 unless the query says otherwise. @throws InvalidOptionsError, StoreError. */
  async list(query: SagaQuery = {}): Promise<readonly SagaRecord[]> {
    const checked = parseQuery('SagaOperator.list', query);
    return this.#store.call('list', (store) => store.list(checked));
  }

  /** What happened to a saga, oldest first. @throws UnknownSagaError when there is none; StoreError. */
  async history(id: string): Promise<readonly TimelineEntry[]> {
    return timeline(await this.get(id));
  }

  /**
   * Let a parked saga be tried again where it parked, as `SagaRunner.retry` does.
   *
   * @throws SagaRepairError when it is not parked, or somebody else repaired it at the same time.
   * @throws UnknownSagaError, InvalidOptionsError; InvalidPayloadError when the record cannot be decoded.
   * @throws StoreError when it may or may not be written: look with `get`.
   */
  retry(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('retry', id, options);
  }

  /** Let it go on as if that step, or that undo, had happened, as `SagaRunner.skip` does. @throws What `retry` throws. */
  skip(id: string, options: SkipOptions): Promise<SagaRecord> {
    return this.#repair('skip', id, options);
  }

  /** Say that it was settled outside: it is `resolved` for good. @throws What `retry` throws. */
  resolve(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('resolve', id, options);
  }

  async #repair(action: RepairAction, id: string, options: SkipOptions): Promise<SagaRecord> {
    const { after } = await this.#desk.repair(id, parseRepair(action, options));
    return after;
  }

  /**
   * Ask that a saga turns back, and say what became of that: undefined while it is not decided, which takes a runner.
   * May be called again.
   *
   * @throws UnknownSagaError, InvalidOptionsError, StoreError; InvalidPayloadError when it takes no more requests.
   */
  async cancel(id: string, options: OperatorCancelOptions): Promise<CancelOutcome | undefined> {
    const { wait = 0, ...blame } = options ?? {};
    const { by, reason } = parseBlame('SagaOperator.cancel', blame as RepairOptions);
    const { clock } = this.#runtime;
    const until = clock.now() + milliseconds(wait, 'wait');
    const record = await this.get(id);
    if (cancelOutcome(record, undefined) === undefined && pendingCancel(record) === undefined) {
      await this.#request(id, `${reason} (${by})`);
    }
    for (;;) {
      const outcome = cancelOutcome(await this.get(id), undefined);
      const left = until - clock.now();
      if (outcome !== undefined || left <= 0) return outcome;
      await sleep(clock, Math.min(left, this.#pollInterval));
    }
  }

  async #request(id: string, reason: string): Promise<void> {
    const at = this.#runtime.clock.wallTime();
    const request = { id: this.#runtime.id(), type: 'cancel', reason, at } as const;
    const outcome = await this.#store.call('request', (store) => store.request(id, request));
    if (outcome !== 'full') return;
    const why = 'the saga has as many requests as it may have, and no more are kept';
    throw new InvalidPayloadError(`the cancel of saga ${id}`, why);
  }
}
