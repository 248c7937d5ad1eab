import { isDeepStrictEqual } from 'node:util';
import {
  InvalidOptionsError,
  InvalidPayloadError,
  SagaConflictError,
  UnknownSagaError,
} from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { toJson } from '../core/json-copy.ts';
import { describe } from '../core/options.ts';
import type { CallContext } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import { issueSummary, type SchemaResult, validate } from '../core/schema.ts';
import type { NewSaga, SagaRecord } from '../ports/saga-store.ts';
import { uncheckedPayload } from './accepted.ts';
import { advance } from './opening.ts';
import { needsOpening } from './plan.ts';
import { isSagaId, type SagaRunnerSettings, sagaIdAccepts } from './runner-options.ts';
import type { Saga } from './saga-phases.ts';
import type { SagaDefinition } from './saga-types.ts';
import type { Worker } from './worker.ts';

/** A saga that is durably begun. */
export interface BegunSaga {
  readonly id: string;
  /** Whether this call began it; false when it was there already, with the same input. */
  readonly created: boolean;
}

interface Created {
  readonly created: boolean;
  readonly record: SagaRecord;
}

interface NewId {
  readonly id: string;
  /** Whether it was made just now, so that no saga has it. */
  readonly isNew: boolean;
}

/** Options of {@link Entrance}. */
export interface EntranceOptions {
  readonly worker: Worker;
  readonly runtime: Runtime;
  readonly settings: SagaRunnerSettings;
  /** @throws NotRunningError unless the runner runs. */
  readonly assertRunning: () => void;
  /** Waits with a signal that also aborts when the runner has stopped. @throws NotRunningError then. */
  readonly untilStopped: <T>(signal: AbortSignal, wait: (until: AbortSignal) => Promise<T>) => Promise<T>;
}

/** The error for a saga that is in none of a runner's shapes. */
function notGiven(saga: string): UnknownSagaError {
  return new UnknownSagaError(
    `this runner was not given saga ${saga} in this shape; list it in its option sagas`,
  );
}

/** Whether a record is of this saga and input. Of one that cannot be decoded nobody can say what its input was. */
function isSame(record: SagaRecord, saga: string, input: JsonValue): boolean {
  return record.saga === saga && (record.undecodable === true || isDeepStrictEqual(record.input, input));
}

/** Lets new sagas in: checks what they are started with, waits for room, and writes them down. */
export class Entrance {
  readonly #options: EntranceOptions;

  constructor(options: EntranceOptions) {
    this.#options = options;
  }

  /** @throws What `SagaRunner.begin` says. */
  async begin(saga: Saga, input: unknown, id: string | undefined, call: CallContext): Promise<BegunSaga> {
    const { worker, runtime, assertRunning } = this.#options;
    assertRunning();
    if ((saga as Partial<Saga> | null | undefined)?.definition === undefined) {
      const accepts = "a saga, made by saga('name', …)";
      throw new InvalidOptionsError('SagaRunner', [{ field: 'saga', received: describe(saga), accepts }]);
    }
    const { name } = saga;
    const definition = worker.definition({ saga: name, hash: saga.hash });
    if (definition === undefined) throw notGiven(name);
    if (id !== undefined && !isSagaId(id)) {
      const accepts = sagaIdAccepts;
      throw new InvalidOptionsError(`saga ${name}`, [{ field: 'id', received: describe(id), accepts }]);
    }
    const what = `the input of saga ${name}`;
    let result: SchemaResult<unknown>;
    try {
      result = await validate(definition.schema, input);
      if (result.issues !== undefined) throw new InvalidPayloadError(what, issueSummary(result.issues));
    } catch (error) {
      throw error instanceof InvalidPayloadError ? error : uncheckedPayload(what, error);
    }
    const accepted = toJson(result.value, what, this.#options.settings.maxPayload);
    if (!worker.room.tryAcquire()) await this.#waitForRoom(call);
    const known = id ?? runtime.id();
    const { created, record } = await this.#create(
      definition,
      { id: known, isNew: id === undefined },
      accepted,
    );
    if (!created && !isSame(record, name, accepted)) throw new SagaConflictError(record.saga, known, name);
    return { id: known, created };
  }

  #waitForRoom({ signal }: CallContext): Promise<void> {
    const { worker, untilStopped } = this.#options;
    return untilStopped(signal, async (until) => {
      if (!(await worker.room.acquire('', until))) throw until.reason;
    });
  }

  async #create(definition: SagaDefinition, { id, isNew }: NewId, input: JsonValue): Promise<Created> {
    const { worker, assertRunning } = this.#options;
    try {
      assertRunning();
      const fresh = this.#newSaga(definition, id, input);
      if (!definition.plan.units[0]?.some(needsOpening)) return await worker.begin(fresh);
      // What the user's functions say is asked of new sagas only.
      const existing = isNew ? undefined : await worker.store.call('get', (store) => store.get(id));
      if (existing === undefined) return await worker.begin(await this.#opened(definition, fresh));
      worker.room.release();
      return { created: false, record: existing };
    } catch (error) {
      worker.room.release();
      throw error;
    }
  }

  #newSaga({ plan, deadline }: SagaDefinition, id: string, input: JsonValue): NewSaga {
    const createdAt = this.#options.runtime.clock.wallTime();
    const { name: saga, hash, version: definitionVersion } = plan;
    const fresh: NewSaga = {
      id,
      saga,
      hash,
      definitionVersion,
      status: 'running',
      input,
      steps: [],
      createdAt,
    };
    return deadline === undefined ? fresh : { ...fresh, deadline: createdAt + deadline };
  }

  /** With what its first steps need already fixed, so that it is one write. */
  async #opened(definition: SagaDefinition, saga: NewSaga): Promise<NewSaga> {
    const { maxPayload } = this.#options.settings;
    const blank = { epoch: 1, version: 0, claims: 0, updatedAt: saga.createdAt };
    const options = { now: saga.createdAt, inherited: false, maxPayload };
    const { record } = await advance(definition, { ...saga, ...blank }, options);
    const { status, steps, reason, parkedAt, wakeAt } = record;
    return { ...saga, status, steps, reason, parkedAt, wakeAt };
  }
}
