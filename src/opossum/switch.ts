import type { Timer } from '../core/clock.ts';
import { CircuitOpenError } from '../core/errors.ts';
import { resolveRuntime } from '../core/runtime.ts';
import { CircuitBreaker } from '../resilience/circuit-breaker.ts';
import type { CircuitToken } from '../resilience/circuit-token.ts';
import type { CircuitState } from '../resilience/circuit-types.ts';
import type { ParsedOptions } from './options.ts';

/** Whom to tell of a change of state. */
export interface SwitchListener {
  readonly opened: () => void;
  readonly halfOpened: () => void;
  readonly closed: () => void;
}

/** opossum opens above its threshold, holdfast at it; no two rates of real windows are as near as this. */
const above = 1e-9;

/** The breaker inside, set to decide as opossum's does. */
export class Switch {
  readonly #breaker: CircuitBreaker;
  readonly #schedule: (delay: number, callback: () => void) => Timer;
  #timer: Timer | undefined;

  constructor(name: string, options: ParsedOptions, listener: SwitchListener) {
    const { clock } = resolveRuntime(options.runtime);
    this.#schedule = (delay, callback) => clock.schedule(delay, callback);
    this.#breaker = new CircuitBreaker({
      name:
        name
          .replace(/[^A-Za-z0-9._-]+/g, '-')
          .replace(/^[^A-Za-z0-9]+/, '')
          .slice(0, 128) || 'opossum',
      ...rateOf(options),
      window: options.rollingCountTimeout,
      openFor: options.resetTimeout,
      halfOpen: { permits: 1, failFast: true },
      ...(options.allowWarmUp && { warmUp: options.rollingCountTimeout }),
      runtime: options.runtime,
    });
    this.#breaker.on('opened', ({ wait }) => {
      this.#awaitHalfOpen(wait);
      listener.opened();
    });
    this.#breaker.on('halfOpened', listener.halfOpened);
    this.#breaker.on('closed', () => {
      this.stop();
      listener.closed();
    });
  }

  get state(): CircuitState {
    return this.#breaker.state;
  }

  /** Leave to make one call, or undefined. */
  acquire(): CircuitToken | undefined {
    try {
      return this.#breaker.acquire();
    } catch (error) {
      if (error instanceof CircuitOpenError) return undefined;
      throw error;
    }
  }

  open(): void {
    this.#breaker.trip();
  }

  close(): void {
    if (this.#breaker.state !== 'closed') this.#breaker.reset();
  }

  /** Forget the timer. */
  stop(): void {
    this.#timer?.cancel();
  }

  /** opossum tells of being half-open when the wait ends, not when the next call comes. */
  #awaitHalfOpen(wait: number): void {
    this.stop();
    this.#timer = this.#schedule(wait, () => {
      // Real timers may fire a fraction early.
      if (this.#breaker.state === 'open') this.#awaitHalfOpen(this.#breaker.metrics.retryAfter);
    });
  }
}

function rateOf(options: ParsedOptions): { readonly failureRate: number; readonly minimumCalls: number } {
  const threshold = options.errorThresholdPercentage / 100 + above;
  // No rate is above 100 %.
  if (threshold > 1) return { failureRate: 1, minimumCalls: Number.MAX_SAFE_INTEGER };
  return { failureRate: threshold, minimumCalls: Math.max(1, options.volumeThreshold) };
}
