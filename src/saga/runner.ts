import { isDeepStrictEqual } from 'node:util';
import { enter, joinSignals } from '../core/abort.ts';
import { abortController } from '../core/abort-controller.ts';
import { sleep } from '../core/clock.ts';
import { type Duration, milliseconds } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import {
  InvalidPayloadError,
  NotRunningError,
  SagaCompensatedError,
  SagaConflictError,
  SagaParkedError,
  SagaResolvedError,
} from '../core/errors.ts';
import { type JsonValue, parseJson, stringifyJson } from '../core/json.ts';
import { Lifecycle } from '../core/lifecycle.ts';
import { parseOptions, z } from '../core/options.ts';
import type { RunOptions } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { issueSummary, validate } from '../core/schema.ts';
import type { RepairAction, SagaQuery, SagaRecord } from '../ports/saga-store.ts';
import type { Ending } from './execution.ts';
import { isSettled, resultsOf } from './journal.ts';
import { parseRepair, type RepairOptions } from './repair.ts';
import {
  parseRunnerOptions,
  type SagaRunnerOptions,
  type SagaRunnerSettings,
  sagaIdOption,
} from './runner-options.ts';
import type { SagaEvents } from './saga-events.ts';
import type { Saga } from './saga-types.ts';
import { notGiven, Worker } from './worker.ts';

/** Options of {@link SagaRunner.begin}. */
export interface BeginOptions {
  /**
   * Names this piece of work: the same id with the same input never runs twice. 1 to 200 visible ASCII characters.
   * Default: a new unique id.
   */
  readonly id?: string | undefined;
}

/** Options of {@link SagaRunner.run}. `signal` and `timeout` end the waiting, not the saga. */
export interface SagaRunOptions extends BeginOptions, Pick<RunOptions, 'signal' | 'timeout'> {}

/** A saga that is durably begun. */
export interface BegunSaga {
  readonly id: string;
  /** Whether this call began it; false when it was there already, with the same input. */
  readonly created: boolean;
}

const idSchema = z.object({ id: sagaIdOption.optional() });

/**
 * Executes sagas: durably, each step at least once and by its key effectively once, to one of three ends: completed,
 * compensated, or parked for a person with a reason, who can `retry`, `skip` or `resolve` it.
 *
 * @throws InvalidOptionsError from the constructor.
 */
export class SagaRunner {
  readonly #settings: SagaRunnerSettings;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<SagaEvents>;
  readonly #lifecycle: Lifecycle = new Lifecycle('SagaRunner');
  readonly #worker: Worker;
  /** Aborts when the runner has stopped, so that nobody waits for a saga in vain. */
  readonly #stopped: AbortController = abortController();

  constructor(options: SagaRunnerOptions) {
    this.#settings = parseRunnerOptions(options);
    this.#runtime = resolveRuntime(this.#settings.runtime);
    this.#emitter = new Emitter('saga', this.#settings.name, this.#runtime.telemetry);
    this.#worker = new Worker(this.#settings, this.#runtime, this.#emitter);
  }

  /** How many sagas this runner holds now. */
  get size(): number {
    return this.#worker.size;
  }

  /**
   * Prepare the store, take over what a crash left behind, and keep looking for more.
   *
   * @throws StoreError when the store cannot be prepared or read; call it again.
   * @throws NotRunningError after `stop`.
   */
  async start(): Promise<this> {
    await this.#lifecycle.start(() => this.#worker.start());
    return this;
  }

  /**
   * Begin a saga and wait for its end; resolves to what its steps returned, by name. With an id that was used before
   * and the same input, joins the saga under way or gives the result of the one that has ended.
   *
   * @throws SagaCompensatedError when it was undone; SagaParkedError when a person must decide; SagaResolvedError when
   * a person has settled it outside.
   * @throws NotRunningError when the runner stops meanwhile; the saga goes on when one starts again.
   * @throws What {@link SagaRunner.begin} throws, TimeoutError and the signal's reason; a saga that began goes on.
   */
  async run<Input, Results>(
    saga: Saga<Input, Results>,
    input: Input,
    options: SagaRunOptions = {},
  ): Promise<Results> {
    const { id, ...waiting } = options;
    const begun = await this.begin(saga, input, { id });
    const { record, cause } = await enter(this.#runtime.clock, waiting, ({ signal }) =>
      this.#settled(begun.id, signal),
    );
    const reason = record.reason ?? 'no reason is recorded';
    if (record.status === 'completed') return resultsOf(record) as Results;
    if (record.status === 'compensated') {
      throw new SagaCompensatedError(record.saga, record.id, reason, cause);
    }
    if (record.status === 'resolved') throw new SagaResolvedError(record.saga, record.id, reason);
    throw new SagaParkedError(record.saga, record.id, reason, cause);
  }

  /**
   * Begin a saga without waiting for its end: when this resolves, it is durable, and it will be executed.
   *
   * @throws InvalidPayloadError when the input does not satisfy the schema or is not JSON.
   * @throws SagaConflictError when the id was used for another input or another saga.
   * @throws UnknownSagaError when the runner was not given this saga.
   * @throws StoreError when it may or may not have begun; call it again with the same id.
   * @throws NotRunningError before `start` and after `stop`.
   */
  async begin<Input>(saga: Saga<Input>, input: Input, options: BeginOptions = {}): Promise<BegunSaga> {
    this.#lifecycle.assertRunning();
    const { name, hash } = saga;
    if (this.#worker.definition({ saga: name, hash }) === undefined) {
      throw notGiven(name);
    }
    const { id = this.#runtime.id() } = parseOptions(`saga ${name}`, idSchema, options);
    const accepted = await this.#accept(saga, input);
    this.#lifecycle.assertRunning();
    const createdAt = this.#runtime.clock.wallTime();
    const { created, record } = await this.#worker.begin({
      id,
      saga: name,
      hash,
      input: accepted,
      createdAt,
    });
    if (record.saga !== name || !isDeepStrictEqual(record.input, accepted)) {
      throw new SagaConflictError(record.saga, id);
    }
    return { id, created };
  }

  /** The input as the schema makes it, and as JSON brings it back. */
  async #accept(saga: Saga, input: unknown): Promise<JsonValue> {
    const what = `the input of saga ${saga.name}`;
    const result = await validate(saga.definition.schema, input);
    if (result.issues !== undefined) throw new InvalidPayloadError(what, issueSummary(result.issues));
    return parseJson(stringifyJson(result.value, what), what);
  }

  async #settled(id: string, signal: AbortSignal): Promise<Ending & { readonly record: SagaRecord }> {
    const { clock } = this.#runtime;
    const until = joinSignals(signal, this.#stopped.signal);
    try {
      for (;;) {
        const { record, cause } = await (this.#worker.ended(id) ?? this.#look(id));
        if (record !== undefined && isSettled(record.status)) return { record, cause };
        // It runs elsewhere, or nobody has taken it over yet.
        await sleep(clock, this.#settings.pollInterval, until.signal);
      }
    } catch (error) {
      if (this.#stopped.signal.aborted) throw new NotRunningError('SagaRunner', this.#lifecycle.state);
      throw error;
    } finally {
      until.dispose();
    }
  }

  /** What the store knows now. When it cannot answer, which is told, it is asked again. */
  async #look(id: string): Promise<Ending> {
    const found = this.#worker.store.call('get', (store) => store.get(id));
    return { record: await found.catch(() => undefined), cause: undefined };
  }

  /** A saga's record, or undefined when there is none. @throws StoreError, NotRunningError. */
  async get(id: string): Promise<SagaRecord | undefined> {
    this.#lifecycle.assertRunning();
    return this.#worker.store.call('get', (store) => store.get(id));
  }

  /** Records, newest first; at most 100 unless the query says otherwise. @throws StoreError, NotRunningError. */
  async list(query: SagaQuery = {}): Promise<readonly SagaRecord[]> {
    this.#lifecycle.assertRunning();
    return this.#worker.store.call('list', (store) => store.list(query));
  }

  /**
   * Try a parked saga again where it parked, in the direction that it had: its tries count from 1. Resolves to the record
   * as it is durable now. Repair the cause first, and see that an attempt that did not end has ended.
   *
   * @throws SagaRepairError when it is not parked, or somebody else repaired it at the same time.
   * @throws UnknownSagaError when there is no saga of this id, or the runner was not given its definition.
   * @throws InvalidOptionsError, and InvalidPayloadError when the record cannot be decoded.
   * @throws StoreError when it may or may not be written: look with `get`.
   * @throws NotRunningError before `start` and after `stop`.
   */
  retry(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('retry', id, options);
  }

  /**
   * Go on as if the step after the pivot, or the undo, at which a saga parked had happened. Its record says `skipped`,
   * and the step has no result: later steps, and whoever awaits the saga, get undefined for it.
   *
   * @throws SagaRepairError also when it parked at the pivot or before it and is not undoing.
   * @throws What {@link SagaRunner.retry} throws.
   */
  skip(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('skip', id, options);
  }

  /**
   * Say that a parked saga was settled outside. It is `resolved` for good and nothing more is done or undone. The runner
   * need not know its definition.
   *
   * @throws What {@link SagaRunner.retry} throws.
   */
  resolve(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('resolve', id, options);
  }

  async #repair(action: RepairAction, id: string, options: RepairOptions): Promise<SagaRecord> {
    this.#lifecycle.assertRunning();
    return this.#worker.repair(id, parseRepair(action, options));
  }

  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof SagaEvents & string>(event: K, listener: (payload: SagaEvents[K]) => void): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /**
   * Take over nothing more, let each saga finish and record the step it is at, and hand everything over so that other
   * runners go on at once. What has not ended by `timeout` (default 10 seconds) is aborted and left until the lease ends.
   * The store stays open.
   */
  async stop(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    const timeout = milliseconds(options.timeout ?? '10s', 'timeout');
    return this.#lifecycle.stop(async () => {
      await this.#worker.stop(timeout);
      this.#stopped.abort();
    });
  }

  /** The same as {@link SagaRunner.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
