import type { Timer } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { Runtime } from '../core/runtime.ts';
import type { AppExit, AppProcess, Launch } from './app-process.ts';
import { afterCrash, type RestartLimits } from './restart-policy.ts';

/** Who is told of what happens to the app's process. */
export interface SupervisorListener {
  started(pid: number): void;
  /** @param restartIn milliseconds until it is started again; undefined when it will not be. */
  exited(exit: AppExit, restartIn: number | undefined): void;
  gaveUp(error: AppError): void;
}

/** What a {@link Supervisor} needs. */
export interface SupervisorOptions {
  readonly app: string;
  readonly launch: Launch;
  readonly limits: RestartLimits;
  /** How long the app may take to end after SIGTERM, in milliseconds. */
  readonly stopTimeout: number;
  readonly runtime: Runtime;
  readonly listener: SupervisorListener;
}

/** Keeps one process running: starts it again when it ends unasked, until it crashes too often. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #process: AppProcess | undefined;
  #launching: Promise<void> | undefined;
  #crashes: readonly number[] = [];
  #restarts = 0;
  #timer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** The process's id, or undefined while none runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** @throws AppError when the process cannot be started at all; that is not tried again. */
  async start(): Promise<void> {
    this.#launching = this.#launch();
    await this.#launching;
  }

  /** Stop for good: SIGTERM, and SIGKILL when it takes too long. Resolves when no process is left. Idempotent. */
  stop(): Promise<void> {
    // Once only: many apps take a second SIGTERM for "at once".
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  async #end(): Promise<void> {
    this.#timer?.cancel();
    await this.#launching?.catch(() => {});
    const process = this.#process;
    if (process === undefined) return;
    const { runtime, stopTimeout } = this.#options;
    const timer = runtime.clock.schedule(stopTimeout, () => process.kill(), { hold: true });
    process.terminate();
    await process.exited;
    timer.cancel();
  }

  async #launch(): Promise<void> {
    const process = await this.#options.launch();
    this.#process = process;
    void process.exited.then((exit) => this.#ended(exit));
    this.#options.listener.started(process.pid);
  }

  #ended(exit: AppExit): void {
    this.#process = undefined;
    if (this.#stopping !== undefined) this.#options.listener.exited(exit, undefined);
    else this.#crashed(exit, describeExit(exit));
  }

  #crashed(exit: AppExit, how: string, cause?: unknown): void {
    const { runtime, limits, listener, app } = this.#options;
    const decision = afterCrash(this.#crashes, runtime.clock.now(), limits, runtime.random);
    this.#crashes = decision.crashes;
    if (decision.action === 'restart') {
      this.#timer = runtime.clock.schedule(decision.delay, () => this.#restart());
      listener.exited(exit, decision.delay);
      return;
    }
    listener.exited(exit, undefined);
    const times = `${decision.crashes.length} times within ${limits.window} ms`;
    listener.gaveUp(new AppError(app, `given up after it ended ${times}; the last time ${how}`, cause));
  }

  #restart(): void {
    this.#restarts += 1;
    this.#launching = this.#launch();
    this.#launching.catch((error: unknown) => {
      if (this.#stopping === undefined) this.#crashed({ code: null, signal: null }, messageOf(error), error);
    });
  }
}

/** Such as `with exit code 1` or `by SIGKILL`. */
export function describeExit({ code, signal }: AppExit): string {
  return signal === null ? `with exit code ${code}` : `by ${signal}`;
}
