import type { Clock, Timer } from '../core/clock.ts';

/** How {@link LineBuffer} writes. */
export interface LineBufferOptions {
  readonly write: (text: string) => void;
  /** Characters that are gathered; 0 writes at once. */
  readonly limit: number;
  /** Milliseconds that a line waits at most. */
  readonly after: number;
  readonly clock: Clock;
}

/** Gathers lines, so that many are written at once: each write is a system call. */
export class LineBuffer {
  readonly #options: LineBufferOptions;
  #text = '';
  #timer: Timer | undefined;
  #watchesExit = false;

  constructor(options: LineBufferOptions) {
    this.#options = options;
  }

  /** @param line with its line feed. */
  add(line: string): void {
    this.#text += line;
    if (this.#text.length >= this.#options.limit) {
      this.flush();
      return;
    }
    this.#watchExit();
    this.#timer ??= this.#options.clock.schedule(this.#options.after, () => this.flush());
  }

  /** Write now what was gathered. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    this.#options.write(text);
  }

  /** The timer keeps no process alive, so what is left is written when it ends. */
  #watchExit(): void {
    if (this.#watchesExit) return;
    this.#watchesExit = true;
    process.once('exit', () => this.flush());
  }
}
