/**
 * The one contract by which everything composes: a {@link Policy} runs work and decides whether, when and how
 * often. The first policy of a pipeline is the outermost.
 */
import { abortController } from './abort-controller.ts';
import type { Duration } from './duration.ts';

/** Decides whether repeated attempts may still be made: what retries and hedges share. `RetryBudget` is one. */
export interface RetryAllowance {
  /** A call was made for the first time. */
  deposit(): void;
  /** Ask for one more attempt; whether it may be made. One that may is charged. */
  withdraw(): boolean;
}

/** What the work gets to know of the call that it serves. */
export interface CallContext {
  /** Aborts when nobody waits for the result any more: the caller gave up, a timeout passed, a probe expired. */
  readonly signal: AbortSignal;
  /** Which attempt this is: 1 for the first, 2 for the first retry. */
  readonly attempt: number;
  /** When the call must have settled, on the runtime's monotonic clock; undefined when it has no limit. */
  readonly deadline: number | undefined;
  /** Who pays for repeated attempts of this call; retries and hedges inside that have no budget of their own ask it. */
  readonly retryBudget?: RetryAllowance | undefined;
}

/** A function under a policy. May return a value or a promise; a synchronous throw counts as a rejection. */
export type Work<T> = (context: CallContext) => T | PromiseLike<T>;

/** Options of every verb that runs work. A {@link CallContext} may be passed on as it is. */
export interface RunOptions {
  /** Aborts the call: it rejects with the signal's reason at once, and the work's own signal aborts. */
  readonly signal?: AbortSignal;
  /** The longest that the call may take. Default: no limit. Rejects with `TimeoutError`. */
  readonly timeout?: Duration;
  /** The attempt number to start from. Default: 1. */
  readonly attempt?: number;
  /** When the call must have settled, on the runtime's monotonic clock. Default: no limit. */
  readonly deadline?: number | undefined;
  /** Who pays for repeated attempts where a policy has no budget of its own. Default: nobody limits them. */
  readonly retryBudget?: RetryAllowance | undefined;
}

/** Runs work under some discipline: a breaker, a retry, a timeout, or a pipeline of them. */
export interface Policy {
  /** Run the work and settle as it does, unless the policy decides otherwise. Never throws synchronously. */
  run<T>(work: Work<T>, options?: RunOptions): Promise<T>;
  /** The same function under this policy: same arguments, a promise of the same result. */
  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>>;
}

/** Leave to make one call, from a {@link Gate}. Only the first outcome counts. */
export interface Permit {
  /** Whether the call is a probe, whose `signal` aborts when it takes too long. */
  readonly isProbe: boolean;
  /** Never aborts unless the call is a probe. */
  readonly signal: AbortSignal;
  /** The work gave this. */
  resolved(result: unknown): void;
  /** The work failed with this. */
  rejected(error: unknown): void;
  /** The call was given up for this reason: a time limit is a failure, a caller that went away says nothing. */
  aborted(reason: unknown): void;
}

/**
 * A policy that decides no more than whether a call may be made, and learns how it ended, such as a circuit breaker.
 * Whoever makes very many calls asks it so, without a promise; otherwise it means the same as {@link Policy.run}.
 */
export interface Gate extends Policy {
  /** @throws what `run` would reject with, when the call must not be made. */
  acquire(): Permit;
}

/** A {@link Gate} for each key, made when it is first asked for. `CircuitBreakers` is one. */
export interface GateSet {
  /** The gate of this key; the same one each time, as long as it is kept. */
  for(key: string): Gate;
}

/** Whether a policy is a {@link Gate}. */
export function isGate(policy: Policy): policy is Gate {
  return typeof (policy as Partial<Gate>).acquire === 'function';
}

/** A context made by the library. Its signal costs nothing until somebody reads it. */
export class Call implements CallContext {
  readonly #source: AbortSignal | undefined;
  readonly attempt: number;
  readonly deadline: number | undefined;
  readonly retryBudget: RetryAllowance | undefined;

  constructor(
    source: AbortSignal | undefined,
    attempt: number,
    deadline: number | undefined,
    retryBudget?: RetryAllowance,
  ) {
    this.#source = source;
    this.attempt = attempt;
    this.deadline = deadline;
    this.retryBudget = retryBudget;
  }

  /** The signal that can really abort, or undefined when none can. */
  get source(): AbortSignal | undefined {
    return this.#source;
  }

  get signal(): AbortSignal {
    // A new one for each who asks: one for the whole process would keep every listener that was not taken off it.
    return this.#source ?? abortController().signal;
  }
}

/** The context of a call that nobody limits. */
export const unlimitedCall: Call = new Call(undefined, 1, undefined);

/** The signal of a context that can really abort, or undefined; reading it creates nothing. */
export function abortSource(context: CallContext): AbortSignal | undefined {
  return context instanceof Call ? context.source : context.signal;
}

/** Implements {@link Policy.wrap} for any policy. */
export function wrapWith<A extends unknown[], R>(
  policy: Pick<Policy, 'run'>,
  work: (...args: A) => R,
): (...args: A) => Promise<Awaited<R>> {
  return function wrapped(this: unknown, ...args: A): Promise<Awaited<R>> {
    return policy.run(() => work.apply(this, args)) as Promise<Awaited<R>>;
  };
}

/** Call the work so that a synchronous throw, a plain value and a promise all become a promise. */
export function settle<T>(work: Work<T>, context: CallContext): Promise<T> {
  try {
    const result = work(context);
    return result instanceof Promise ? result : Promise.resolve(result);
  } catch (error) {
    return Promise.reject(error);
  }
}
