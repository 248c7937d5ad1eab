import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a service of the shop says of itself. */
export interface Told {
  readonly event: string;
  readonly [detail: string]: unknown;
}

/** One process of the shop. */
export class Actor {
  readonly name: string;
  /** Everything that it told, in order. */
  readonly told: Told[] = [];
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  #errors = '';

  constructor(name: string, command: readonly string[], environment: Readonly<Record<string, string>>) {
    this.name = name;
    const [program, ...args] = command;
    this.#child = spawn(program!, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) this.told.push(JSON.parse(line));
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-4_000);
    });
    this.#exit = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code)));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Whatever it wrote to stderr last; for the one who must find out what went wrong. */
  get errors(): string {
    return this.#errors;
  }

  heard(event: string): Told[] {
    return this.told.filter((line) => line.event === event);
  }

  /** Wait until it told this event, and it is the first that matches. */
  async waitFor(event: string, matches: (told: Told) => boolean = () => true): Promise<Told> {
    return until(`${this.name} tells ${event}`, () => {
      if (!this.running) throw new Error(`${this.name} exited early\n${this.#errors}`);
      return this.told.find((line) => line.event === event && matches(line));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Send a signal and wait for the end; resolves to the exit code (null when the signal itself ended it). */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.running) this.signal(signal);
    return this.#exit;
  }
}

/** Ask again until there is an answer. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  limit = 15_000,
): Promise<T> {
  const end = performance.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`waited ${limit / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
