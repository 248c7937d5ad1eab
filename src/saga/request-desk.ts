import { enter } from '../core/abort.ts';
import { InvalidOptionsError, InvalidPayloadError, UnknownSagaError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { toJson } from '../core/json-copy.ts';
import { describe, parseOptions, z } from '../core/options.ts';
import type { RunOptions } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { RequestOutcome, SagaRecord, SagaRequest } from '../ports/saga-store.ts';
import { SchemaFailure } from './accepted.ts';
import { LimitedOptions } from './begin-options.ts';
import { checkedPayload } from './opening.ts';
import { type SagaRunnerSettings, sagaIdOption } from './runner-options.ts';
import { type CancelOutcome, cancelOutcome, pendingCancel } from './turning.ts';
import type { Worker } from './worker.ts';

/** Options of {@link SagaRunner.signal}. */
export interface SignalOptions {
  /**
   * Names the signal: the same id counts once. 1 to 200 visible ASCII characters. Default: a new unique id. Use what the
   * sender has, such as the id of a webhook's event, and a signal that comes twice does no harm.
   */
  readonly id?: string | undefined;
}

/** What became of a signal. */
export interface SignalOutcome {
  readonly id: string;
  /** `added` to the saga; `known`, since it was there already; `ended`, since the saga was over. */
  readonly outcome: 'added' | 'known' | 'ended';
}

/**
 * Options of {@link SagaRunner.cancel}. `signal`, `timeout` and `deadline` end the waiting, not the cancel. The context of
 * a step may be passed on among them.
 */
export interface CancelOptions extends Pick<RunOptions, 'signal' | 'timeout' | 'deadline'> {
  /** Why: it stands in the record, and every undo gets it. 1 to 2,000 characters. */
  readonly reason: string;
  /** Who says so. 1 to 200 characters. */
  readonly by?: string | undefined;
}

/** Options of {@link RequestDesk}. */
export interface RequestDeskOptions {
  readonly worker: Worker;
  readonly runtime: Runtime;
  readonly settings: SagaRunnerSettings;
  /** Waits with a signal that also aborts when the runner has stopped. @throws NotRunningError then. */
  readonly untilStopped: <T>(signal: AbortSignal, wait: (until: AbortSignal) => Promise<T>) => Promise<T>;
}

const signalSchema = z.strictObject({ id: sagaIdOption.optional() });
const signalName = z.string().regex(/^[\w.-]{1,1000}$/, {
  error: 'the name of a wait: 1 to 1,000 letters, digits, dots, dashes and underscores',
});
const namedSchema = z.object({ name: signalName });
const cancelOptions = new LimitedOptions('SagaRunner.cancel', 'reason', 'by');
// What else there is, is looked at by the others.
const cancelSchema = z.object({
  reason: z.string().trim().min(1).max(2_000),
  by: z.string().trim().min(1).max(200).optional(),
});

/** Tells sagas what somebody outside wants of them. */
export class RequestDesk {
  readonly #worker: Worker;
  readonly #runtime: Runtime;
  readonly #settings: SagaRunnerSettings;
  readonly #untilStopped: RequestDeskOptions['untilStopped'];

  constructor({ worker, runtime, settings, untilStopped }: RequestDeskOptions) {
    this.#worker = worker;
    this.#runtime = runtime;
    this.#settings = settings;
    this.#untilStopped = untilStopped;
  }

  /** @throws What `SagaRunner.signal` says. */
  async signal(id: string, name: string, payload: unknown, options: SignalOptions): Promise<SignalOutcome> {
    const { id: requestId = this.#runtime.id() } = parseOptions('SagaRunner.signal', signalSchema, options);
    // Also where nobody here knows what the saga waits for: what is written down stays.
    parseOptions('SagaRunner.signal', namedSchema, { name });
    const what = `the signal ${name} of saga ${id}`;
    const json = payload === undefined ? undefined : toJson(payload, what, this.#settings.maxPayload);
    await this.#check(id, name, json);
    const outcome = await this.#request(id, {
      id: requestId,
      type: 'signal',
      name,
      ...(json !== undefined && { payload: json }),
      at: this.#runtime.clock.wallTime(),
    });
    return { id: requestId, outcome };
  }

  /** What the saga would not take is refused here already, where it is known. */
  async #check(id: string, name: string, payload: JsonValue | undefined): Promise<void> {
    const record = await this.#worker.store.call('get', (store) => store.get(id));
    if (record === undefined) throw unknown(id);
    const definition = this.#worker.definition(record);
    if (definition === undefined) return;
    const waits = definition.plan.steps.filter(({ type }) => type === 'wait').map((step) => step.name);
    if (!waits.includes(name)) {
      const accepts =
        waits.length === 0 ? `nothing: saga ${record.saga} waits for no signal` : waits.join(' | ');
      throw new InvalidOptionsError('SagaRunner.signal', [
        { field: 'name', received: describe(name), accepts },
      ]);
    }
    try {
      await checkedPayload(definition.functions.get(name)?.schema, payload);
    } catch (error) {
      // Refused, it might never come again. So it is kept, and the saga parks when it comes to it.
      if (error instanceof SchemaFailure) return;
      if (!(error instanceof InvalidPayloadError)) throw error;
      throw new InvalidPayloadError(`the signal ${name} of saga ${id}`, error.message, error);
    }
  }

  /** @throws What `SagaRunner.cancel` says. */
  async cancel(id: string, options: CancelOptions): Promise<CancelOutcome> {
    const { reason, by } = parseOptions('SagaRunner.cancel', cancelSchema, options);
    const limits = cancelOptions.limitsOf(options) ?? {};
    const record = await this.#get(id);
    const known = this.#outcome(record);
    if (known !== undefined) return known;
    if (pendingCancel(record) === undefined) {
      const said = by === undefined ? reason : `${reason} (${by})`;
      const at = this.#runtime.clock.wallTime();
      await this.#request(id, { id: this.#runtime.id(), type: 'cancel', reason: said, at });
    }
    return enter(this.#runtime.clock, limits, (context) =>
      this.#untilStopped(context.signal, (until) => this.#decided(id, until)),
    );
  }

  async #decided(id: string, signal: AbortSignal): Promise<CancelOutcome> {
    for (;;) {
      const outcome = this.#outcome(await this.#get(id));
      if (outcome !== undefined) return outcome;
      await this.#worker.watchers.wait(id, this.#settings.pollInterval, signal);
    }
  }

  #outcome(record: SagaRecord): CancelOutcome | undefined {
    return cancelOutcome(record, this.#worker.definition(record)?.plan);
  }

  async #get(id: string): Promise<SagaRecord> {
    const record = await this.#worker.store.call('get', (store) => store.get(id));
    if (record === undefined) throw unknown(id);
    return record;
  }

  async #request(id: string, request: SagaRequest): Promise<Exclude<RequestOutcome, 'unknown' | 'full'>> {
    const outcome = await this.#worker.store.call('request', (store) => store.request(id, request));
    if (outcome === 'unknown') throw unknown(id);
    if (outcome === 'full') {
      const why = 'the saga has as many signals and cancels as it may have, and no more are kept';
      throw new InvalidPayloadError(`the ${request.type} of saga ${id}`, why);
    }
    if (outcome === 'added') this.#worker.nudge(id);
    return outcome;
  }
}

function unknown(id: string): UnknownSagaError {
  return new UnknownSagaError(`there is no saga ${id} in the store`);
}
