/** The options of verbs that begin or await sagas. Checked by hand: a schema would cost as much as beginning a saga. */
import { durationAccepts, parseDuration } from '../core/duration.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import { describe, unknownOption } from '../core/options.ts';
import { Call, type RunOptions } from '../core/policy.ts';

/**
 * Options of {@link SagaRunner.begin}. `signal`, `timeout` and `deadline` end the waiting for room. The context of a step
 * or of a policy's work may be passed on among them.
 */
export interface BeginOptions extends Pick<RunOptions, 'signal' | 'timeout' | 'deadline'> {
  /**
   * Names this piece of work: the same id with the same input never runs twice. 1 to 200 visible ASCII characters.
   * Default: a new unique id.
   */
  readonly id?: string | undefined;
}

/** Options of {@link SagaRunner.run}. `signal`, `timeout` and `deadline` end the waiting, not the saga. */
export interface SagaRunOptions extends BeginOptions {}

const limitNames = ['signal', 'timeout', 'deadline'] as const;

/** What else a context has that is passed on: of a call, of a step, of an undo. */
const contextNames: ReadonlySet<string> = new Set([
  ...['attempt', 'retryBudget', 'input', 'results', 'sagaId', 'key', 'result', 'error', 'forwardKey'],
]);

/** Checks the options of a verb, and gives what limits its waiting. */
export class LimitedOptions {
  readonly #owner: string;
  readonly #names: ReadonlySet<string>;

  /** @param names its options, beside the limits */
  constructor(owner: string, ...names: readonly string[]) {
    this.#owner = owner;
    this.#names = new Set([...names, ...limitNames]);
  }

  /** The limits that somebody gave, if any. @throws InvalidOptionsError naming the field. */
  limitsOf(options: Pick<RunOptions, 'signal' | 'timeout' | 'deadline'>): RunOptions | undefined {
    this.#check(options);
    const { signal, timeout, deadline } = options;
    if (signal === undefined && timeout === undefined && deadline === undefined) return undefined;
    if (signal !== undefined && !isSignal(signal)) this.#refuse('signal', signal, 'an AbortSignal');
    if (deadline !== undefined && (typeof deadline !== 'number' || Number.isNaN(deadline))) {
      this.#refuse('deadline', deadline, "a time on the runtime's monotonic clock, in milliseconds");
    }
    // Before anything is done for the caller, not when he begins to wait.
    if (timeout !== undefined && parseDuration(timeout) === undefined) {
      this.#refuse('timeout', timeout, durationAccepts);
    }
    return { ...(signal && { signal }), ...(timeout !== undefined && { timeout }), deadline };
  }

  #check(options: unknown): void {
    if (typeof options !== 'object' || options === null) this.#refuse('options', options, 'an object');
    for (const name in options) {
      if (this.#names.has(name)) continue;
      if (options instanceof Call) return;
      // Only a context has an attempt; so a `key` by itself is a mistake.
      if (contextNames.has(name) && 'attempt' in options) continue;
      throw new InvalidOptionsError(this.#owner, [unknownOption(name, [...this.#names])]);
    }
  }

  #refuse(field: string, value: unknown, accepts: string): never {
    throw new InvalidOptionsError(this.#owner, [{ field, received: describe(value), accepts }]);
  }
}

function isSignal(value: unknown): boolean {
  const { addEventListener, aborted } = (value ?? {}) as Partial<AbortSignal>;
  return typeof addEventListener === 'function' && typeof aborted === 'boolean';
}
