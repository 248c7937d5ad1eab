import type { Clock } from '../../core/clock.ts';
import type { Sleeper, VirtualTime } from './virtual-time.ts';

/** Never settles: what a dead process has to say. */
export function silence<T>(): Promise<T> {
  return new Promise(() => {});
}

/**
 * One life of a process. When it ends, none of its calls goes out, no answer comes in and none of its timers fires any
 * more; while it is frozen, everything of it waits, and then comes late.
 */
export class Life implements Sleeper {
  readonly name: string;
  readonly clock: Clock;
  /** Resolves when it dies. */
  readonly died: Promise<void>;
  readonly #time: VirtualTime;
  #alive = true;
  #frozenUntil = 0;
  /** How far its wall clock is off, in milliseconds. */
  #skew = 0;
  #die: () => void = () => {};

  constructor(name: string, time: VirtualTime) {
    this.name = name;
    this.#time = time;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.clock = {
      now: () => time.now(),
      wallTime: () => time.wallTime() + this.#skew,
      schedule: (delay, callback) => time.scheduleFor(this, delay, callback),
    };
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** Whether calls go out and answers come in at this moment. */
  get isAwake(): boolean {
    return this.#alive && this.#frozenUntil <= this.#time.now();
  }

  /** How long it will not notice anything, in milliseconds. */
  get frozenFor(): number {
    return this.#frozenUntil - this.#time.now();
  }

  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#die();
  }

  freeze(duration: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.#time.now() + duration);
  }

  /** Set its wall clock, in milliseconds from the true one. */
  skew(by: number): void {
    this.#skew = by;
  }

  /** Resolves when the process runs; never when it is dead. */
  async awake(): Promise<void> {
    while (this.#alive) {
      if (this.frozenFor <= 0) return;
      await this.#time.pass(this.frozenFor);
      // As in Node: timers that are over come before whatever arrived meanwhile.
      await this.#time.pass(0);
    }
    return silence();
  }
}
