import { EventEmitter } from 'node:events';
import type { Clock, Timer } from '../core/clock.ts';
import { warnOf } from '../core/log.ts';
import { settle, unlimitedCall } from '../core/policy.ts';
import { resolveRuntime } from '../core/runtime.ts';
import type { CircuitToken } from '../resilience/circuit-token.ts';
import { type Events, isOwnError, ownError, tellEach } from './events.ts';
import { HealthCheck } from './health-check.ts';
import { type CircuitBreakerOptions, type ParsedOptions, parseBreakerOptions } from './options.ts';
import { type CircuitBreakerStats, RollingStats } from './rolling-stats.ts';
import { Switch } from './switch.ts';

/**
 * The breaker of opossum 9, with holdfast's machine inside: same constructor, `fire`, `call`, `fallback`, events and
 * error codes. Where opossum's behaviour is a known defect it differs; `docs/guides/migrate-from-opossum.md` lists
 * where.
 */
export class CircuitBreaker<TI extends unknown[] = unknown[], TR = unknown> extends EventEmitter<
  Events<TI, TR>
> {
  /** The name that it was given, or the action's. */
  readonly name: string;
  /** The group that it was given, or its name. */
  readonly group: string;
  /** How many calls must be in the window before it opens. */
  readonly volumeThreshold: number;
  readonly #action: (...args: TI) => TR | PromiseLike<TR>;
  readonly #options: ParsedOptions;
  readonly #clock: Clock;
  readonly #stats: RollingStats;
  readonly #switch: Switch;
  readonly #warmUntil: number;
  readonly #healthChecks: HealthCheck[] = [];
  #fallback: ((...args: unknown[]) => unknown) | undefined;
  #running = 0;
  #enabled: boolean;
  #isShutdown = false;

  /** Whether an error was made by a breaker, not by an action. */
  static isOurError(error: unknown): boolean {
    return isOwnError(error);
  }

  /**
   * @param action what to protect; anything but a function is what the action resolves with
   * @throws TypeError without an action
   * @throws InvalidOptionsError naming each option that is wrong or not supported
   */
  constructor(action: (...args: TI) => TR | PromiseLike<TR>, options: CircuitBreakerOptions<TI> = {}) {
    super();
    if (!action) throw new TypeError('CircuitBreaker needs an action: new CircuitBreaker(action, options)');
    this.#options = parseBreakerOptions(options);
    const { rollingCountTimeout, rollingCountBuckets, rollingPercentilesEnabled } = this.#options;
    this.#action = typeof action === 'function' ? action : () => action;
    this.#clock = resolveRuntime(options.runtime).clock;
    this.name = options.name || this.#action.name || 'opossum';
    this.group = options.group || this.name;
    this.volumeThreshold = this.#options.volumeThreshold;
    this.#enabled = this.#options.enabled;
    this.#warmUntil = this.#options.allowWarmUp ? this.#clock.now() + rollingCountTimeout : 0;
    this.#stats = new RollingStats(rollingCountTimeout, rollingCountBuckets, rollingPercentilesEnabled);
    this.#switch = new Switch(this.name, this.#options, {
      opened: () => this.#tell('open'),
      halfOpened: () => this.#tell('halfOpen', this.#options.resetTimeout),
      closed: () => this.#tell('close'),
    });
  }

  /** Whether calls pass. */
  get closed(): boolean {
    return this.#switch.state === 'closed' && !this.#isShutdown;
  }

  /** Whether calls are rejected. */
  get opened(): boolean {
    return this.#switch.state === 'open' && !this.#isShutdown;
  }

  /** Whether it tries one call. */
  get halfOpen(): boolean {
    return this.#switch.state === 'half-open' && !this.#isShutdown;
  }

  /** Whether it protects anything; see {@link disable}. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** Whether it was shut down. */
  get isShutdown(): boolean {
    return this.#isShutdown;
  }

  /** Whether it is too young to open. */
  get warmUp(): boolean {
    return this.#clock.now() < this.#warmUntil;
  }

  /** What happened within the window. */
  get stats(): CircuitBreakerStats {
    return this.#stats.read(this.#clock.now());
  }

  /** Holds {@link stats}, for code that reads `breaker.status.stats`. */
  get status(): { readonly stats: CircuitBreakerStats } {
    return { stats: this.stats };
  }

  /** Its state and its stats, for `JSON.stringify`. */
  toJSON(): { readonly state: object; readonly status: CircuitBreakerStats } {
    const { name, enabled, closed, opened, halfOpen, warmUp, isShutdown } = this;
    const state = { name, enabled, closed, open: opened, halfOpen, warmUp, shutdown: isShutdown };
    return { state, status: this.stats };
  }

  /** Make the call, unless it is open; rejects with `EOPENBREAKER`, `ETIMEDOUT`, `ESEMLOCKED`, `ESHUTDOWN`. */
  fire(...args: TI): Promise<TR> {
    return this.call(this.#action, ...args);
  }

  /** As {@link fire}, with a `this` for the action. */
  call(context: unknown, ...args: TI): Promise<TR> {
    if (this.#isShutdown) return Promise.reject(ownError('The circuit has been shutdown.', 'ESHUTDOWN'));
    this.#count('fires');
    this.#tell('fire', args);
    const action = (): TR | PromiseLike<TR> => this.#action.apply(context, args);
    if (!this.#enabled) return settle(action, unlimitedCall);
    const token = this.#switch.acquire();
    if (token === undefined) return this.#reject(args);
    if (this.#running < this.#options.capacity) return this.#make(token, action, args);
    // A full bulkhead says nothing about the dependency.
    token.ignore();
    return this.#refuse(args);
  }

  /** What answers when a call fails or is rejected: a function of (…args, error), or another breaker. */
  fallback(
    alternative: ((...args: never[]) => unknown) | { fire(...args: never[]): Promise<unknown> },
  ): this {
    const answer = typeof alternative === 'function' ? alternative : alternative.fire.bind(alternative);
    this.#fallback = answer as (...args: unknown[]) => unknown;
    return this;
  }

  /** Open it. */
  open(): void {
    this.#switch.open();
  }

  /** Close it. */
  close(): void {
    this.#switch.close();
  }

  /** Protect again; see {@link disable}. */
  enable(): void {
    this.#enabled = true;
  }

  /** Let every call pass, uncounted and without a time limit. */
  disable(): void {
    this.#enabled = false;
  }

  /** Reject every call from now on, and let go of listeners and timers. */
  shutdown(): void {
    this.#tell('shutdown');
    this.disable();
    this.removeAllListeners();
    this.#isShutdown = true;
    this.#switch.stop();
    for (const check of this.#healthChecks) check.stop();
  }

  /**
   * Call a function now and then, and open when it rejects.
   *
   * @param interval in milliseconds. Default 5,000.
   * @throws TypeError when the first argument is not a function or the interval is no number above 0
   */
  healthCheck(check: () => unknown, interval = 5_000): void {
    const failed = (error: unknown): void => {
      this.#tell('healthCheckFailed', error as Error);
      this.open();
    };
    this.#healthChecks.push(new HealthCheck(check, this, interval, this.#clock, failed));
  }

  #make(token: CircuitToken, action: () => TR | PromiseLike<TR>, args: TI): Promise<TR> {
    const { timeout } = this.#options;
    const startedAt = this.#clock.now();
    this.#running += 1;
    const work = settle(action, unlimitedCall);
    return new Promise((resolve, reject) => {
      let over = false;
      let timer: Timer | undefined;
      /** The slot is free when the work ends; the call may have ended before, by its time limit. */
      const end = (then: (latency: number) => void): void => {
        this.#running -= 1;
        timer?.cancel();
        if (!over) then(this.#clock.now() - startedAt);
      };
      const fail = (error: unknown, latency: number): void => {
        this.#fail(token, error, latency, args).then(resolve, reject);
      };
      work.then(
        (result) => end((latency) => resolve(this.#succeed(token, result, latency))),
        (error) => end((latency) => fail(error, latency)),
      );
      if (timeout === false || timeout === 0) return;
      const expire = (): void => {
        over = true;
        const error = ownError(`Timed out after ${timeout}ms`, 'ETIMEDOUT');
        this.#count('timeouts');
        this.#tell('timeout', error, this.#clock.now() - startedAt, args);
        fail(error, this.#clock.now() - startedAt);
      };
      timer = this.#clock.schedule(timeout, expire, { hold: true });
    });
  }

  #succeed(token: CircuitToken, result: TR, latency: number): TR {
    this.#count('successes');
    this.#stats.time(latency, this.#clock.now());
    token.success();
    this.#tell('success', result, latency);
    return result;
  }

  /** Settles as the call shall. */
  async #fail(token: CircuitToken, error: unknown, latency: number, args: TI): Promise<TR> {
    this.#stats.time(latency, this.#clock.now());
    if (this.#isFiltered(error, args)) {
      this.#count('successes');
      token.success();
      this.#tell('success', error as TR, latency);
      throw error;
    }
    this.#count('failures');
    this.#tell('failure', error as Error, latency, args);
    token.failure(error);
    return this.#fallBack(error, args);
  }

  #isFiltered(error: unknown, args: TI): boolean {
    try {
      return Boolean(this.#options.errorFilter?.(error, ...args));
    } catch (thrown) {
      warnOf('errorFilter threw; the call counts as a failure', thrown);
      return false;
    }
  }

  #reject(args: TI): Promise<TR> {
    const error = ownError('Breaker is open', 'EOPENBREAKER');
    this.#count('rejects');
    this.#tell('reject', error);
    return this.#fallBack(error, args);
  }

  #refuse(args: TI): Promise<TR> {
    const error = ownError('Semaphore locked', 'ESEMLOCKED');
    this.#count('semaphoreRejections');
    this.#tell('semaphoreLocked', error, 0);
    this.#count('failures');
    this.#tell('failure', error, 0, args);
    return this.#fallBack(error, args);
  }

  async #fallBack(error: unknown, args: TI): Promise<TR> {
    if (this.#fallback === undefined) throw error;
    const answer = this.#fallback(...args, error);
    this.#count('fallbacks');
    this.#tell('fallback', answer, error as Error);
    return answer as TR;
  }

  #count(what: Parameters<RollingStats['add']>[0]): void {
    this.#stats.add(what, this.#clock.now());
  }

  #tell<K extends keyof Events<TI, TR> & string>(event: K, ...payload: Events<TI, TR>[K]): void {
    tellEach(this, event, payload);
  }
}
