import pLimit from 'p-limit';
import { enter } from '../core/abort.ts';
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { BulkheadFullError } from '../core/errors.ts';
import { durationOption, nameOption, parseOptions, runtimeOption, z } from '../core/options.ts';
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

/** Options of {@link Bulkhead}. */
export interface BulkheadOptions {
  /** Names it in errors, events and metrics. */
  readonly name: string;
  /** How many calls may be under way at once; ≥ 1. */
  readonly limit: number;
  /** How many more may wait for a slot; those beyond are refused. Default 0: nobody waits. */
  readonly queue?: number | undefined;
  /** How long one may wait before it is refused; ≥ 1 ms. Default: as long as its caller does. */
  readonly queueTimeout?: Duration | undefined;
  /** Clock and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A call has to wait for a slot. */
export interface BulkheadQueued {
  /** How many wait now, this one included. */
  readonly waiting: number;
}

/** A call was refused without being made. */
export interface BulkheadRejected {
  readonly reason: 'full' | 'queue-timeout';
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
  runtime: runtimeOption(),
});

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
  readonly #waiting: Set<() => void> = new Set();
  #running = 0;
  /**
   * The line in front of the slots. Its one active task stands at the head and waits for a slot; the tasks are nobody's
   * in particular and serve whoever has waited longest, so that a caller who leaves needs nothing taken out of it.
   */
  readonly #line: ReturnType<typeof pLimit> = pLimit(1);
  #tasks = 0;
  #slotFreed: () => void = () => {};

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: BulkheadOptions) {
    const { name, limit, queue, queueTimeout, runtime } = parseOptions('Bulkhead', optionsSchema, options);
    const { clock, telemetry } = resolveRuntime(runtime);
    this.#name = name;
    this.#limit = limit;
    this.#queue = queue;
    this.#queueTimeout = queueTimeout;
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
  run<T>(work: Work<T>, options?: RunOptions): Promise<T> {
    return enter(this.#clock, options, (context) => this.#admit(work, context));
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

  #admit<T>(work: Work<T>, context: CallContext): Promise<T> {
    if (this.#running < this.#limit && this.#waiting.size === 0) {
      this.#running += 1;
      return this.#occupy(work, context);
    }
    if (this.#waiting.size >= this.#queue) return Promise.reject(this.#refusal('full'));
    return this.#wait(context).then(() => {
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
  #wait(context: CallContext): Promise<void> {
    const source = abortSource(context);
    if (source?.aborted) return Promise.reject(source.reason);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(admit);
        timer?.cancel();
        source?.removeEventListener('abort', onAbort);
      };
      const admit = (): void => {
        leave();
        resolve();
      };
      const onAbort = (): void => {
        leave();
        reject(source?.reason);
      };
      const expire = (): void => {
        leave();
        reject(this.#refusal('queue-timeout'));
      };
      const timer =
        this.#queueTimeout === undefined
          ? undefined
          : this.#clock.schedule(this.#queueTimeout, expire, { hold: true });
      source?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(admit);
      this.#lineUp();
      if (this.#emitter.wants('queued')) this.#emitter.emit('queued', { waiting: this.#waiting.size });
    });
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
    const admit = this.#waiting.values().next().value;
    if (admit === undefined) return;
    this.#running += 1;
    admit();
  };

  #refusal(reason: BulkheadRejected['reason']): BulkheadFullError {
    const { running, waiting } = this;
    if (this.#emitter.wants('rejected')) this.#emitter.emit('rejected', { reason, running, waiting });
    return withoutStack(() => new BulkheadFullError(this.#name, running, waiting));
  }
}
