import { sleep } from '../core/clock.ts';
import { InvalidPayloadError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import { announce } from './announce.ts';
import { decide } from './decide.ts';
import { fold, isSettled, withoutUnstorable } from './journal.ts';
import type { SagaDefinition } from './saga-types.ts';
import { type TaskOutcome, type WorkSurroundings, work } from './step-work.ts';
import type { StoreCalls } from './store-calls.ts';

/** What the executions of one runner share. */
export interface ExecutionSurroundings extends WorkSurroundings {
  readonly store: StoreCalls;
}

/** How an execution ended. */
export interface Ending {
  /** Settled; undefined when the saga was left to others. */
  readonly record: SagaRecord | undefined;
  /** What made the saga turn back or park, when this process saw it. */
  readonly cause: unknown;
}

/** A saga to execute. */
export interface ExecutionOptions {
  readonly definition: SagaDefinition;
  readonly record: SagaRecord;
  /** Whether it was claimed, and not just begun: then its next step is in doubt from the start. */
  readonly inherited: boolean;
  readonly shared: ExecutionSurroundings;
}

const left: Ending = { record: undefined, cause: undefined };

/** Drives one saga that this worker holds to its end: decide, act, write down, and again. */
export class Execution {
  readonly #definition: SagaDefinition;
  readonly #shared: ExecutionSurroundings;
  readonly #lost: AbortController = new AbortController();
  readonly #leave: AbortController = new AbortController();
  #record: SagaRecord;
  #inherited: boolean;
  #cause: unknown;

  constructor({ definition, record, inherited, shared }: ExecutionOptions) {
    this.#definition = definition;
    this.#record = record;
    this.#inherited = inherited;
    this.#shared = shared;
  }

  /** Finish the attempt under way, write it down, and leave the rest to others. */
  leave(): void {
    this.#leave.abort();
  }

  /** The saga may be somebody else's now: abort what is under way and write nothing more. */
  lose(reason: unknown): void {
    this.#lost.abort(reason);
    this.#leave.abort(reason);
  }

  /** Run to the end. Never rejects. */
  async run(): Promise<Ending> {
    while (!isSettled(this.#record.status)) {
      const outcome = this.#leave.signal.aborted ? undefined : await this.#act();
      const written = outcome !== undefined && (await this.#write(outcome));
      if (!written) return this.#end(left);
    }
    return this.#end({ record: this.#record, cause: this.#cause });
  }

  #end(ending: Ending): Ending {
    const { id, saga } = this.#record;
    if (ending === left && this.#lost.signal.aborted) this.#shared.emitter.emit('lost', { id, saga });
    return ending;
  }

  async #act(): Promise<TaskOutcome | undefined> {
    const action = decide(this.#definition.plan, this.#record);
    switch (action.type) {
      case 'do':
      case 'undo': {
        const task = {
          operation: action.type,
          step: action.step,
          definition: this.#definition,
          record: this.#record,
          inherited: this.#inherited,
          lost: this.#lost.signal,
          leave: this.#leave.signal,
        };
        return work(task, this.#shared);
      }
      case 'finish':
        return { entry: { type: 'finished', status: action.status } };
      case 'park':
        return { entry: { type: 'parked', reason: action.reason } };
      case 'rest':
        return undefined;
    }
  }

  /** Write until the store answers; false when the saga is not ours any more. */
  async #write(outcome: TaskOutcome): Promise<boolean> {
    const { clock, random, backoff, store } = this.#shared;
    const { plan } = this.#definition;
    let { entry, cause } = outcome;
    let next = fold(plan, this.#record, entry, clock.wallTime());
    for (let tries = 1; !this.#lost.signal.aborted; tries += 1) {
      try {
        const written = await store.call('update', (s) => s.update(next));
        if (written || (tries > 1 && (await this.#wroteBefore(next)))) {
          this.#advance({ ...next, version: next.version + 1 }, { entry, cause });
          return true;
        }
        this.lose(new Error(`another worker took over saga ${next.id}`));
      } catch (error) {
        if (error instanceof InvalidPayloadError) {
          entry = withoutUnstorable(plan, entry, messageOf(error));
          next = fold(plan, this.#record, entry, clock.wallTime());
          cause ??= error;
        }
        await sleep(clock, backoff(tries, random), this.#lost.signal).catch(() => {});
      }
    }
    return false;
  }

  #advance(record: SagaRecord, { entry, cause }: TaskOutcome): void {
    const before = this.#record;
    this.#record = record;
    this.#inherited = false;
    this.#cause ??= cause;
    announce(this.#shared.emitter, entry, before, record, cause);
  }

  /** Whether an earlier try did write, though it seemed to fail: nobody else writes at our epoch. */
  async #wroteBefore(next: SagaRecord): Promise<boolean> {
    const now = await this.#shared.store.call('get', (store) => store.get(next.id));
    return now?.epoch === next.epoch && now.version === next.version + 1;
  }
}
