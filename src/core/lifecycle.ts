import type { Clock } from './clock.ts';
import { NotRunningError } from './errors.ts';

/** Where a startable primitive is in its life. */
export type LifecycleState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped';

/**
 * Start once, drain, stop once. Concurrent starts share one promise; a failed start may be tried again; stop waits
 * for a start under way, is idempotent, and is final.
 */
export class Lifecycle {
  readonly #owner: string;
  #state: LifecycleState = 'idle';
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(owner: string) {
    this.#owner = owner;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  start(begin: () => Promise<void>): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') {
      return Promise.reject(new NotRunningError(this.#owner, this.#state));
    }
    this.#starting ??= this.#begin(begin);
    return this.#starting;
  }

  async #begin(begin: () => Promise<void>): Promise<void> {
    this.#state = 'starting';
    try {
      await begin();
      // A stop that came while starting has the last word.
      if (this.#state === 'starting') this.#state = 'running';
    } catch (error) {
      this.#starting = undefined;
      if (this.#state === 'starting') this.#state = 'idle';
      throw error;
    }
  }

  stop(end: () => Promise<void>): Promise<void> {
    this.#stopping ??= this.#end(end);
    return this.#stopping;
  }

  async #end(end: () => Promise<void>): Promise<void> {
    const starting = this.#starting;
    this.#state = 'stopping';
    // What failed to start has released what it took, as it must to be started again.
    const started = await starting?.then(
      () => true,
      () => false,
    );
    try {
      if (started) await end();
    } finally {
      this.#state = 'stopped';
    }
  }

  /** @throws NotRunningError unless it is running. */
  assertRunning(): void {
    if (this.#state !== 'running') throw new NotRunningError(this.#owner, this.#state);
  }
}

/** Counts what is under way, so that a stop can wait for it. */
export class InFlight {
  #count = 0;
  readonly #waiters: Set<() => void> = new Set();

  get size(): number {
    return this.#count;
  }

  /** One more is under way; call the returned function when it has ended (further calls do nothing). */
  enter(): () => void {
    this.begin();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.end();
    };
  }

  /** One more is under way; to be followed by {@link InFlight.end}, once. */
  begin(): void {
    this.#count += 1;
  }

  /** One has ended. */
  end(): void {
    this.#count -= 1;
    if (this.#count === 0) for (const done of [...this.#waiters]) done();
  }

  /** Count a promise while it is pending; returns it. */
  track<T>(work: Promise<T>): Promise<T> {
    const leave = this.enter();
    work.then(leave, leave);
    return work;
  }

  /** Wait until nothing is under way; resolves to whether that came before the timeout, in milliseconds. */
  drained(clock: Clock, timeout: number): Promise<boolean> {
    if (this.#count === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (empty: boolean): void => {
        timer.cancel();
        this.#waiters.delete(done);
        resolve(empty);
      };
      const done = (): void => finish(true);
      const timer = clock.schedule(timeout, () => finish(false), { hold: true });
      this.#waiters.add(done);
    });
  }
}
