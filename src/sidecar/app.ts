import { within, withinSignal } from '../core/abort.ts';
import { AppError } from '../core/errors.ts';
import { unlimitedCall } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import { type AppExit, launchApp } from './app-process.ts';
import { HealthWatch } from './health.ts';
import { connectProbe, httpProbe } from './probe.ts';
import type { AppSettings } from './settings.ts';
import { describeExit, Supervisor } from './supervisor.ts';

/** Who is told of what happens to the app. */
export interface AppListener {
  started(pid: number, restarts: number): void;
  exited(exit: AppExit, restartIn: number | undefined): void;
  /** Its verdict changed: it is healthy, or it is not any more. */
  health(up: boolean): void;
  /** It was given up: it crashed too often. */
  gaveUp(error: AppError): void;
}

/** The app beside the sidecar: its process, if it is ours to run, and whether it is healthy. */
export class App {
  readonly #options: AppSettings;
  readonly #runtime: Runtime;
  readonly #listener: AppListener;
  readonly #health: HealthWatch;
  #supervisor: Supervisor | undefined;
  /** Settles the wait of {@link App.start}: without an error when the app is healthy. */
  #settleStart: (error?: AppError) => void = () => {};
  #lastExit: AppExit | undefined;

  constructor(options: AppSettings, runtime: Runtime, listener: AppListener) {
    this.#options = options;
    this.#runtime = runtime;
    this.#listener = listener;
    const { host, port, health } = options;
    this.#health = new HealthWatch({
      ...health,
      probe: health.path === undefined ? connectProbe(host, port) : httpProbe(host, port, health.path),
      runtime,
      onChange: (up) => this.#changed(up),
    });
  }

  /** Whether it is healthy. */
  get up(): boolean {
    return this.#health.up;
  }

  /** Its process's id; undefined when it is not running or not ours. */
  get pid(): number | undefined {
    return this.#supervisor?.pid;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#supervisor?.restarts ?? 0;
  }

  /**
   * Start it, if there is a command, and wait until it is healthy.
   *
   * @param environment added to the sidecar's own, under the app's.
   * @throws AppError when it cannot be started, crashes too often, or is not healthy in time; the signal's reason.
   */
  async start(environment: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { command } = this.#options;
    if (command !== undefined) {
      await this.#refuseTakenPort();
      this.#supervisor = this.#supervise(command, environment);
      await this.#supervisor.start();
    }
    await withinSignal(signal, () => this.#ready()).finally(() => this.#settleStart());
  }

  /** Whoever answers on the port before the app runs would be taken for the app. */
  async #refuseTakenPort(): Promise<void> {
    const { name, host, port } = this.#options;
    const taken = await within(this.#runtime.clock, 1_000, unlimitedCall, ({ signal }) =>
      connectProbe(host, port)(signal),
    ).catch(() => false);
    if (taken) {
      throw new AppError(
        name,
        `another process listens on ${host}:${port} already; stop it or choose another port`,
      );
    }
  }

  /** Stop it, if it is ours. Idempotent. */
  async stop(): Promise<void> {
    this.#health.stop();
    await this.#supervisor?.stop();
  }

  #supervise(command: readonly string[], environment: Readonly<Record<string, string>>): Supervisor {
    const { name, env, directory, restart, stopTimeout } = this.#options;
    const launch = () =>
      launchApp({
        app: name,
        command,
        directory,
        environment: { ...process.env, ...environment, ...env },
      });
    return new Supervisor({
      app: name,
      launch,
      limits: restart,
      stopTimeout,
      runtime: this.#runtime,
      listener: {
        started: (pid) => this.#listener.started(pid, this.restarts),
        exited: (exit, restartIn) => this.#exited(exit, restartIn),
        gaveUp: (error) => {
          this.#health.stop();
          this.#settleStart(error);
          this.#listener.gaveUp(error);
        },
      },
    });
  }

  #exited(exit: AppExit, restartIn: number | undefined): void {
    this.#lastExit = exit;
    this.#listener.exited(exit, restartIn);
    this.#health.lost();
  }

  #changed(up: boolean): void {
    this.#listener.health(up);
    if (up) this.#settleStart();
  }

  #ready(): Promise<void> {
    const { startTimeout } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const timer = this.#runtime.clock.schedule(startTimeout, () => reject(this.#late()), { hold: true });
      this.#settleStart = (error) => {
        timer.cancel();
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#health.start();
    });
  }

  #late(): AppError {
    const { name, host, port, health, startTimeout } = this.#options;
    const asked = `http://${host}:${port}${health.path ?? ''}`;
    const exit =
      this.#lastExit === undefined ? '' : `; its process last ended ${describeExit(this.#lastExit)}`;
    return new AppError(name, `was not healthy at ${asked} within ${startTimeout} ms${exit}`);
  }
}
