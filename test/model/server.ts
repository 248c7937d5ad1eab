import type { Runtime } from '../../src/core/runtime.ts';

/** How a server works. */
export interface ServerOptions {
  /** How many requests it works on at once. */
  readonly workers: number;
  /** Milliseconds that a request takes on average; each takes from half to one and a half times as long. */
  readonly serviceTime: number;
  /** How many requests may wait; those beyond are refused. */
  readonly backlog: number;
}

/**
 * A server as most are: it works on what has waited longest, and does not know that the caller has long gone. So under
 * overload it is always busy, and nothing of what it does is of use.
 */
export class Server {
  readonly #options: ServerOptions;
  readonly #runtime: Pick<Runtime, 'clock' | 'random'>;
  readonly #waiting: (() => void)[] = [];
  #head = 0;
  #busy = 0;

  constructor(options: ServerOptions, runtime: Pick<Runtime, 'clock' | 'random'>) {
    this.#options = options;
    this.#runtime = runtime;
  }

  /** Serve one request; resolves when it is served, rejects when the backlog is full. */
  serve(): Promise<void> {
    const { workers, backlog } = this.#options;
    if (this.#busy < workers) return new Promise((resolve) => this.#work(resolve));
    if (this.#waiting.length - this.#head >= backlog) return Promise.reject(new Error('the backlog is full'));
    return new Promise((resolve) => {
      this.#waiting.push(() => this.#work(resolve));
    });
  }

  #work(done: () => void): void {
    const { clock, random } = this.#runtime;
    this.#busy += 1;
    clock.schedule(this.#options.serviceTime * (0.5 + random()), () => {
      this.#busy -= 1;
      done();
      this.#next();
    });
  }

  #next(): void {
    const begin = this.#waiting[this.#head];
    if (begin === undefined) return;
    this.#head += 1;
    if (this.#head === this.#waiting.length || this.#head > 10_000) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    begin();
  }
}
