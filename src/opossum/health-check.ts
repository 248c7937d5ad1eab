import type { Clock, Timer } from '../core/clock.ts';

/** Calls a function now and at an interval, and tells when it throws or rejects. Does not hold the process. */
export class HealthCheck {
  readonly #check: () => unknown;
  readonly #interval: number;
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(
    check: () => unknown,
    context: unknown,
    interval: number,
    clock: Clock,
    failed: (error: unknown) => void,
  ) {
    if (typeof check !== 'function') throw new TypeError('a health check must be a function');
    if (!(interval > 0)) throw new TypeError(`the interval must be milliseconds above 0, not ${interval}`);
    this.#check = () => check.call(context);
    this.#interval = interval;
    this.#clock = clock;
    this.#failed = failed;
    this.#run();
  }

  /** No more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #run(): void {
    this.#timer = this.#clock.schedule(this.#interval, () => this.#run());
    Promise.resolve()
      .then(this.#check)
      .catch((error: unknown) => {
        if (!this.#stopped) this.#failed(error);
      });
  }
}
