import pLimit from 'p-limit';
import { enter } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { BulkheadFullError, InvalidOptionsError } from '../core/errors.ts';
import { warnOf } from '../core/log.ts';
import {
  describe,
  durationOption,
  functionOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import {
  abortSource,
  type CallContext,
  type Policy,
  type RunOptions,
  settle,
  type Work,
  wrapWith,
} from '../core/policy.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { withoutStack } from './refusal.ts';
import { rejected } from './rejection.ts';
import { WaitingLine } from './waiting-line.ts';

/** Options of {@link Bulkhead}. */
export interface BulkheadOptions {
  /** Names it in errors, events and metrics. */
  readonly name: string;
  /** How many calls may be under way at once; ≥ 1. */
  readonly limit: number;
  /** How many more may wait for a slot; those beyond are refused. Default 0: nobody waits. */
  readonly queue?: number | undefined;
  /**
   * How urgent the calls of `run` are that do not say so themselves: a whole number from 0 to 9, or a function that is
   * asked at each call that has to wait. Default 0.
   */
  readonly priority?: number | (() => number) | undefined;
  /** How long one may wait before it is refused; ≥ 1 ms. Default: as long as its caller does. */
  readonly queueTimeout?: Duration | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Options of {@link Bulkhead.run}. */
export interface BulkheadRunOptions extends RunOptions {
  /**
   * How urgent the call is: a whole number from 0 to 9, 9 the most. Where calls wait for a slot the most urgent is
   * served first, and where the queue is full it takes the place of one that is less urgent. Default: the bulkhead's.
   */
  readonly priority?: number | undefined;
}

/** A call has to wait for a slot. */
export interface BulkheadQueued {
  /** How many wait now, this one included. */
  readonly waiting: number;
}

/** A call was refused without being made. */
export interface BulkheadRejected {
  readonly reason: 'full' | 'queue-timeout' | 'displaced';
  readonly running: number;
  readonly waiting: number;
}

/** Events of {@link Bulkhead}. */
export interface BulkheadEvents {
  readonly queued: BulkheadQueued;
  readonly rejected: BulkheadRejected;
}

const optionsSchema = z.strictObject({
  name: nameOption(),
  limit: z.int().min(1),
  queue: z.int().min(0).default(0),
  queueTimeout: durationOption(1).optional(),
  priority: z.union([z.int().min(0).max(9), functionOption<() => number>()]).default(0),
  runtime: runtimeOption(),
});

const priorityAccepts = 'a whole number from 0 to 9';

function isPriority(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 9;
}

/** A call in the queue. */
interface Waiter {
  readonly admit: () => void;
  readonly refuse: (reason: BulkheadRejected['reason']) => void;
}

/**
 * Lets a limited number of calls run at once, so that one slow dependency cannot take every connection and all memory.
 *
 * A slot is held until the work itself settles, also when the caller has long given up or timed out: what still runs
 * still costs.
 */
export class Bulkhead implements Policy {
  readonly #name: string;
  readonly #limit: number;
  readonly #queue: number;
  readonly #queueTimeout: number | undefined;
  readonly #clock: Clock;
  readonly #emitter: Emitter<BulkheadEvents>;
  readonly #priority: number | (() => number);
  readonly #waiting: WaitingLine<Waiter> = new WaitingLine();
  #running = 0;
  /**
   * The line in front of the slots. Its one active task stands at the head and waits for a slot; the tasks are nobody's
   * in particular and serve whoever is first by then, so that a caller who leaves needs nothing taken out of it.
   */
  readonly #line: ReturnType<typeof pLimit> = pLimit(1);
  #tasks = 0;
  #slotFreed: () => void = () => {};

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: BulkheadOptions) {
    const parsed = parseOptions('Bulkhead', optionsSchema, options);
    const { name, limit, queue, queueTimeout, priority, runtime } = parsed;
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#name = name;
    this.#limit = limit;
    this.#queue = queue;
    this.#queueTimeout = queueTimeout;
    this.#priority = priority;
    this.#clock = clock;
    this.#emitter = new Emitter('bulkhead', name, telemetry);
  }

  /** The name that it was given. */
  get name(): string {
    return this.#name;
  }

  /** How many calls are under way. */
  get running(): number {
    return this.#running;
  }

  /** How many calls wait for a slot. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Make the call when a slot is free. Rejects with `BulkheadFullError` when none is and no place in the queue. */
  run<T>(work: Work<T>, options?: BulkheadRunOptions): Promise<T> {
    const priority = options?.priority;
    if (priority !== undefined && !isPriority(priority)) {
      const issue = { field: 'priority', received: describe(priority), accepts: priorityAccepts };
      return Promise.reject(new InvalidOptionsError('Bulkhead', [issue]));
    }
    return enter(this.#clock, options, (context) => this.#admit(work, context, priority));
  }

  /** The same function behind this bulkhead: same arguments, a promise of the same result. */
  wrap<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => Promise<Awaited<R>> {
    return wrapWith(this, work);
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof BulkheadEvents & string>(
    event: K,
    listener: (payload: BulkheadEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #admit<T>(work: Work<T>, context: CallContext, asked: number | undefined): Promise<T> {
    if (this.#running < this.#limit && this.#waiting.size === 0) {
      this.#running += 1;
      return this.#occupy(work, context);
    }
    const priority = asked ?? this.#usualPriority();
    if (this.#waiting.size >= this.#queue) {
      const displaced = this.#waiting.lastBelow(priority);
      if (displaced === undefined) return rejected(this.#refusal('full'));
      displaced.refuse('displaced');
    }
    return this.#wait(context, priority).then(() => {
      // The caller may have left between being given the slot and this moment.
      const source = abortSource(context);
      if (!source?.aborted) return this.#occupy(work, context);
      this.#release();
      throw source.reason;
    });
  }

  /** Do the work in a slot that is counted already. */
  #occupy<T>(work: Work<T>, context: CallContext): Promise<T> {
    const promise = settle(work, context);
    promise.then(this.#release, this.#release);
    return promise;
  }

  readonly #release = (): void => {
    this.#running -= 1;
    this.#slotFreed();
  };

  /** Resolves with a slot counted for the caller; rejects when the caller leaves or has waited too long. */
  #wait(context: CallContext, priority: number): Promise<void> {
    const source = abortSource(context);
    if (source?.aborted) return Promise.reject(source.reason);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiter, priority);
        timer?.cancel();
        source?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        admit: () => {
          leave();
          resolve();
        },
        refuse: (reason) => {
          leave();
          reject(this.#refusal(reason));
        },
      };
      const onAbort = (): void => {
        leave();
        reject(source?.reason);
      };
      const expire = (): void => waiter.refuse('queue-timeout');
      const limit = this.#queueTimeout;
      const timer = limit === undefined ? undefined : this.#clock.schedule(limit, expire, { hold: true });
      source?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter, priority);
      this.#lineUp();
      if (this.#emitter.wants('queued')) this.#emitter.emit('queued', { waiting: this.#waiting.size });
    });
  }

  #usualPriority(): number {
    if (typeof this.#priority === 'number') return this.#priority;
    try {
      const priority = this.#priority();
      if (isPriority(priority)) return priority;
      throw new RangeError(`expected ${priorityAccepts}, got ${describe(priority)}`);
    } catch (error) {
      warnOf("a bulkhead's `priority` failed; the call waits with priority 0", error);
      return 0;
    }
  }

  /** One task in the line for each that waits; tasks whose callers left serve those who came after. */
  #lineUp(): void {
    if (this.#tasks >= this.#waiting.size) return;
    this.#tasks += 1;
    void this.#line(this.#serveNext);
  }

  readonly #serveNext = async (): Promise<void> => {
    while (this.#running >= this.#limit) {
      await new Promise<void>((resolve) => {
        this.#slotFreed = resolve;
      });
    }
    this.#tasks -= 1;
    const waiter = this.#waiting.first();
    if (waiter === undefined) return;
    this.#running += 1;
    waiter.admit();
  };

  #refusal(reason: BulkheadRejected['reason']): BulkheadFullError {
    const { running, waiting } = this;
    if (this.#emitter.wants('rejected')) this.#emitter.emit('rejected', { reason, running, waiting });
    return withoutStack(() => new BulkheadFullError(this.#name, running, waiting));
  }
}
