import { enter, joinSignals } from '../core/abort.ts';
import { abortController } from '../core/abort-controller.ts';
import { currentCallContext } from '../core/ambient.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import {
  NotRunningError,
  SagaCompensatedError,
  SagaParkedError,
  SagaResolvedError,
  UnknownSagaError,
} from '../core/errors.ts';
import { Lifecycle } from '../core/lifecycle.ts';
import { durationOption, parseOptions, z } from '../core/options.ts';
import { type CallContext, unlimitedCall } from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { RepairAction, SagaQuery, SagaRecord } from '../ports/saga-store.ts';
import { type BeginOptions, LimitedOptions, type SagaRunOptions } from './begin-options.ts';
import { type BegunSaga, Entrance } from './entrance.ts';
import type { Ending } from './execution.ts';
import { isSettled } from './journal.ts';
import { type PurgeOptions, parsePurge, parseQuery } from './queries.ts';
import { parseRepair, type RepairOptions, type SkipOptions } from './repair.ts';
import {
  type CancelOptions,
  RequestDesk,
  type RequestDeskOptions,
  type SignalOptions,
  type SignalOutcome,
} from './request-desk.ts';
import { resultsOf } from './results.ts';
import { parseRunnerOptions, type SagaRunnerOptions, type SagaRunnerSettings } from './runner-options.ts';
import type { SagaEvents } from './saga-events.ts';
import type { Saga } from './saga-phases.ts';
import { type TimelineEntry, timeline } from './timeline.ts';
import type { CancelOutcome } from './turning.ts';
import { Worker } from './worker.ts';

type Settled = Ending & { readonly record: SagaRecord };

function isSettledEnding(ending: Ending): ending is Settled {
  return ending.record !== undefined && isSettled(ending.record.status);
}

const runOptions = new LimitedOptions('SagaRunner.run', 'id');
const beginOptions = new LimitedOptions('SagaRunner.begin', 'id');
const noOptions: BeginOptions = {};
const stopSchema = z.strictObject({ timeout: durationOption().default(10_000) });

/** Where a saga may still have something to do. */
const unfinished = ['running', 'waiting', 'compensating', 'parked'] as const;

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
  readonly #entrance: Entrance;
  readonly #requests: RequestDesk;
  /** Aborts when the runner has stopped, so that nobody waits for a saga in vain. */
  readonly #stopped: AbortController = abortController();

  constructor(options: SagaRunnerOptions) {
    this.#settings = parseRunnerOptions(options);
    this.#runtime = resolveRuntime(this.#settings.runtime);
    this.#emitter = new Emitter('saga', this.#settings.name, this.#runtime.telemetry);
    this.#worker = new Worker(this.#settings, this.#runtime, this.#emitter);
    const [worker, runtime, settings] = [this.#worker, this.#runtime, this.#settings];
    const assertRunning = (): void => this.#lifecycle.assertRunning();
    const untilStopped: RequestDeskOptions['untilStopped'] = (signal, wait) =>
      this.#untilStopped(signal, wait);
    this.#entrance = new Entrance({ worker, runtime, settings, assertRunning, untilStopped });
    this.#requests = new RequestDesk({ worker, runtime, settings, untilStopped });
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
   * @throws UnknownSagaError when it was purged before its end was seen here.
   * @throws What {@link SagaRunner.begin} throws, TimeoutError and the signal's reason; a saga that began goes on.
   */
  async run<Input, Results>(
    saga: Saga<Input, Results>,
    input: Input,
    options: SagaRunOptions = noOptions,
  ): Promise<Results> {
    const { record, cause } = await this.#toTheEnd(saga, input, options);
    const reason = record.reason ?? 'no reason is recorded';
    const { plan } = this.#worker.definition(record) ?? saga.definition;
    if (record.status === 'completed') return resultsOf(plan, record) as Results;
    if (record.status === 'compensated') {
      throw new SagaCompensatedError(record.saga, record.id, reason, cause);
    }
    if (record.status === 'resolved') throw new SagaResolvedError(record.saga, record.id, reason);
    throw new SagaParkedError(record.saga, record.id, reason, cause);
  }

  /**
   * Begin a saga without waiting for its end: when this resolves, it is durable, and it will be executed. Waits while the
   * runner holds as many sagas as its `capacity` says.
   *
   * @throws InvalidOptionsError naming the option.
   * @throws InvalidPayloadError when the input does not satisfy the schema, is not JSON or is longer than `maxPayload`.
   * @throws SagaConflictError when the id was used for another input or another saga.
   * @throws UnknownSagaError when the runner was not given this saga.
   * @throws StoreError when it may or may not have begun; call it again with the same id.
   * @throws NotRunningError before `start` and after `stop`.
   * @throws TimeoutError and the signal's reason; it may have begun then.
   */
  async begin<Input>(saga: Saga<Input>, input: Input, options: BeginOptions = noOptions): Promise<BegunSaga> {
    const limits = beginOptions.limitsOf(options);
    const begin = (call: CallContext): Promise<BegunSaga> =>
      this.#entrance.begin(saga, input, options.id, call);
    // Without limits of its own, what is begun for a request does not end with it.
    return limits === undefined ? begin(unlimitedCall) : enter(this.#runtime.clock, limits, begin);
  }

  async #toTheEnd(saga: Saga, input: unknown, options: SagaRunOptions): Promise<Settled> {
    const { clock } = this.#runtime;
    const limits = runOptions.limitsOf(options);
    const begin = (call: CallContext): Promise<BegunSaga> =>
      this.#entrance.begin(saga, input, options.id, call);
    const end = async ({ id }: BegunSaga, call: CallContext): Promise<Settled> => {
      const ending = await this.#worker.ended(id);
      if (ending !== undefined && isSettledEnding(ending)) return ending;
      return this.#settled(id, call.signal);
    };
    if (limits !== undefined) return enter(clock, limits, async (call) => end(await begin(call), call));
    const begun = await begin(unlimitedCall);
    if (currentCallContext() !== undefined) return enter(clock, undefined, (call) => end(begun, call));
    return end(begun, unlimitedCall);
  }

  #settled(id: string, signal: AbortSignal): Promise<Settled> {
    return this.#untilStopped(signal, async (until) => {
      for (;;) {
        const ending = await (this.#worker.ended(id) ?? this.#look(id));
        if (isSettledEnding(ending)) return ending;
        // It waits, it runs elsewhere, or nobody has taken it over yet.
        await this.#worker.watchers.wait(id, this.#settings.pollInterval, until);
      }
    });
  }

  /** Wait with a signal that also aborts when the runner has stopped. @throws NotRunningError then. */
  async #untilStopped<T>(signal: AbortSignal, wait: (until: AbortSignal) => Promise<T>): Promise<T> {
    const until = joinSignals(signal, this.#stopped.signal);
    try {
      return await wait(until.signal);
    } catch (error) {
      if (this.#stopped.signal.aborted) throw new NotRunningError('SagaRunner', this.#lifecycle.state);
      throw error;
    } finally {
      until.dispose();
    }
  }

  /**
   * What the store knows now. When it cannot answer, which is told, it is asked again.
   *
   * @throws UnknownSagaError when it knows of none: it was begun, and has been deleted since.
   */
  async #look(id: string): Promise<Ending> {
    let record: SagaRecord | undefined;
    try {
      record = await this.#worker.store.call('get', (store) => store.get(id));
    } catch {
      return { record: undefined, cause: undefined };
    }
    if (record === undefined)
      throw new UnknownSagaError(`saga ${id} was begun and is not in the store any more: it was purged`);
    return { record, cause: undefined };
  }

  /** A saga's record, or undefined when there is none. @throws StoreError, NotRunningError. */
  async get(id: string): Promise<SagaRecord | undefined> {
    this.#lifecycle.assertRunning();
    return this.#worker.store.call('get', (store) => store.get(id));
  }

  /** What happened to a saga, oldest first; undefined when there is none of this id. @throws StoreError, NotRunningError. */
  async history(id: string): Promise<readonly TimelineEntry[] | undefined> {
    const record = await this.get(id);
    return record === undefined ? undefined : timeline(record);
  }

  /**
   * Records that match, newest first; at most 100 unless the query says otherwise. `after`, the last record of a page,
   * gives the next one.
   *
   * @throws InvalidOptionsError naming the field; StoreError; NotRunningError.
   */
  async list(query: SagaQuery = {}): Promise<readonly SagaRecord[]> {
    this.#lifecycle.assertRunning();
    const checked = parseQuery('SagaRunner.list', query);
    return this.#worker.store.call('list', (store) => store.list(checked));
  }

  /**
   * Send a saga a signal that it waits for, or will wait for. When this resolves, it is durable. In a nested saga its name
   * is that of the nested saga, a dot, and its own.
   *
   * @throws UnknownSagaError when there is no saga of this id.
   * @throws InvalidOptionsError when it is no name of a wait, and when the saga waits for no signal of this name, if this
   * runner knows its definition.
   * @throws InvalidPayloadError when the payload is not JSON, is longer than `maxPayload` or not what is waited for, and
   * when the saga has as many signals as it may have: 999, since the last of 1,000 places is for a cancel.
   * @throws StoreError when it may or may not be added; send it again with the same id. NotRunningError.
   */
  async signal(
    id: string,
    name: string,
    payload?: unknown,
    options: SignalOptions = {},
  ): Promise<SignalOutcome> {
    this.#lifecycle.assertRunning();
    return this.#requests.signal(id, name, payload, options);
  }

  /**
   * Turn a saga back, and wait until it is durably decided whether it does: `accepted` when it turned back because of a
   * cancel, and `tooLate` with its status when it never will, since its pivot is done, it has ended, it turned back
   * before, or it is parked. Honoured between two steps, and at once while it waits. May be called again. Only a runner
   * that was given the saga's definition decides it: where none lives, this waits until one comes, or for its `timeout`.
   *
   * @throws UnknownSagaError when there is no saga of this id; InvalidOptionsError.
   * @throws StoreError when it may or may not be asked of the saga; call it again.
   * @throws NotRunningError, also when the runner stops before it is decided; the cancel stays.
   * @throws TimeoutError and the signal's reason; the cancel stays.
   */
  async cancel(id: string, options: CancelOptions): Promise<CancelOutcome> {
    this.#lifecycle.assertRunning();
    return this.#requests.cancel(id, options);
  }

  /**
   * Whether no saga of this definition is unfinished, so that no runner need be given it any more: none runs, waits,
   * compensates or is parked. Ask for an old one that this runner need not know.
   *
   * @throws StoreError, NotRunningError.
   */
  async safeToRemove({ name, hash }: Pick<Saga, 'name' | 'hash'>): Promise<boolean> {
    this.#lifecycle.assertRunning();
    const counts = await this.#worker.store.call('census', (store) => store.census(unfinished));
    return counts.every((count) => count.saga !== name || count.hash !== hash || count.count === 0);
  }

  /**
   * Delete ended sagas, and resolve to how many. An id that is deleted may be begun anew, so keep them for as long as
   * one may come again.
   *
   * @throws InvalidOptionsError, StoreError, NotRunningError.
   */
  async purge(options: PurgeOptions): Promise<number> {
    this.#lifecycle.assertRunning();
    const { endedBefore, limit } = parsePurge(options);
    return this.#worker.store.call('purge', (store) => store.purge(endedBefore, limit));
  }

  /**
   * Try a parked saga again where it parked, in the direction that it had: its tries count from 1. Resolves to the record
   * as it is durable now. Repair the cause first, and see that an attempt that did not end has ended.
   *
   * @throws SagaRepairError when it is not parked, or somebody else repaired it at the same time.
   * @throws UnknownSagaError when there is no saga of this id. The runner need not know its definition.
   * @throws InvalidOptionsError, and InvalidPayloadError when the record cannot be decoded.
   * @throws StoreError when it may or may not be written: look with `get`.
   * @throws NotRunningError before `start` and after `stop`.
   */
  retry(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('retry', id, options);
  }

  /**
   * Go on as if the step after the pivot, or the undo, at which a saga parked had happened. Its record says `skipped`,
   * and the step has no result: later steps, and whoever awaits the saga, get undefined for it. A pivot that is done
   * `once`, and is in doubt, is skipped by who knows that it did happen, and names it as `step`.
   *
   * @throws SagaRepairError also when it parked at any other pivot, or before it and is not undoing, or at another step
   * than the one that is named.
   * @throws What {@link SagaRunner.retry} throws.
   */
  skip(id: string, options: SkipOptions): Promise<SagaRecord> {
    return this.#repair('skip', id, options);
  }

  /**
   * Say that a parked saga was settled outside. It is `resolved` for good and nothing more is done or undone.
   *
   * @throws What {@link SagaRunner.retry} throws.
   */
  resolve(id: string, options: RepairOptions): Promise<SagaRecord> {
    return this.#repair('resolve', id, options);
  }

  async #repair(action: RepairAction, id: string, options: SkipOptions): Promise<SagaRecord> {
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
   *
   * @throws InvalidOptionsError naming the option.
   */
  async stop(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    const { timeout } = parseOptions('SagaRunner.stop', stopSchema, options);
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
