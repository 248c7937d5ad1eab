import { withinSignal } from '../core/abort.ts';
import type { Duration } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { type AppError, NotRunningError } from '../core/errors.ts';
import { Lifecycle, type LifecycleState } from '../core/lifecycle.ts';
import { warnOf } from '../core/log.ts';
import { durationOption, parseOptions, z } from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import { ServiceRegistry } from '../discovery/service-registry.ts';
import type { RequestRouter } from '../gateway/request-router.ts';
import { accessLog } from '../telemetry/access-log.ts';
import { combineTelemetry } from '../telemetry/combine-telemetry.ts';
import { type Prometheus, prometheus } from '../telemetry/prometheus.ts';
import { adminRouter, isReady, type SidecarStatus } from './admin.ts';
import { advertisedHost, localUrl } from './advertise.ts';
import { App } from './app.ts';
import type { AppExit } from './app-process.ts';
import { Enrolment } from './enrolment.ts';
import { inboundRouter } from './inbound.ts';
import type { SidecarOptions } from './options.ts';
import { outboundRouter } from './outbound.ts';
import { ServicePolicies } from './service-policies.ts';
import { parseSidecarOptions, type SidecarSettings } from './settings.ts';

/** Where one listener can be reached. */
export interface ListenerAddress {
  readonly port: number;
  readonly url: string;
}

/** Where the sidecar listens. */
export interface SidecarAddresses {
  /** In front of the app. */
  readonly inbound: ListenerAddress;
  /** What the app calls other services through. */
  readonly outbound: ListenerAddress;
  /** `/healthz`, `/readyz`, `/metrics`. */
  readonly admin: ListenerAddress;
}

/** What a sidecar tells, with its payloads. */
export interface SidecarEvents {
  /** Every listener is open and the app is healthy. */
  readonly started: { readonly addresses: SidecarAddresses };
  /** A process of the app runs. */
  readonly appStarted: { readonly pid: number; readonly restarts: number };
  /** The app's process ended. `restartIn` is in milliseconds; undefined when it is not started again. */
  readonly appExited: AppExit & { readonly restartIn: number | undefined };
  /** The app is healthy, for the first time or again. */
  readonly appReady: { readonly app: string };
  /** The app is not healthy any more; it is taken out of the registry. */
  readonly appLost: { readonly app: string };
  /** The app crashed too often and is given up. The sidecar stays, unready, until it is stopped. */
  readonly failed: { readonly error: AppError };
  /** The way out has begun: not ready any more, out of the registry soon. */
  readonly draining: { readonly app: string };
  /** Everything has ended. */
  readonly stopped: { readonly app: string };
}

const stopSchema = z.strictObject({ timeout: durationOption().optional() });

/**
 * Stands beside an app in any language and gives it what the library gives a Node service: requests reach the app
 * through the inbound listener, the app reaches other services through the outbound listener, which finds, balances,
 * retries and breaks; the app is registered while it is healthy, and, given a command, started and kept running.
 *
 * The sidecar starts before the app and stops after it: the app can make calls from its first moment to its last.
 *
 * @example
 * ```ts
 * const sidecar = await new Sidecar({
 *   app: { name: 'payments', port: 3000, command: ['python', 'app.py'] },
 *   registry: fileRegistry({ directory: 'registry' }),
 * }).start();
 * ```
 */
export class Sidecar {
  readonly #options: SidecarSettings;
  readonly #runtime: Runtime;
  readonly #lifecycle: Lifecycle = new Lifecycle('sidecar');
  readonly #events: Emitter<SidecarEvents>;
  readonly #registry: ServiceRegistry;
  readonly #app: App;
  readonly #inbound: RequestRouter;
  readonly #outbound: RequestRouter;
  readonly #admin: RequestRouter;
  readonly #startCancelled: AbortController = new AbortController();
  #enrolment: Enrolment | undefined;
  #addresses: SidecarAddresses | undefined;
  #appStage: 'starting' | 'started' | 'failed' = 'starting';
  #draining = false;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: SidecarOptions) {
    const parsed = parseSidecarOptions(options);
    const { app, inbound, registry, ttl } = parsed;
    const metrics = prometheus({ runtime: parsed.runtime });
    const runtime = withTelemetry(parsed, metrics);
    this.#options = parsed;
    this.#runtime = runtime;
    this.#events = new Emitter('sidecar', app.name, runtime.telemetry);
    this.#registry = new ServiceRegistry({
      backend: registry,
      host: inbound.advertise ?? advertisedHost(inbound.host),
      ttl,
      runtime,
    });
    const policies = new ServicePolicies(parsed.policies, parsed.services, runtime);
    this.#inbound = inboundRouter(parsed, runtime);
    this.#outbound = outboundRouter(parsed, this.#registry, policies, runtime);
    this.#admin = adminRouter(app.name, () => this.status, metrics, runtime);
    this.#app = new App(app, runtime, this.#appListener());
    for (const [name, help, read] of statusGauges) {
      metrics.gauge(name, help, { app: app.name }, () => read(this.status));
    }
  }

  /** Where it is in its life. */
  get state(): LifecycleState {
    return this.#lifecycle.state;
  }

  /** What `/healthz` and `/readyz` answer from. */
  get status(): SidecarStatus {
    const stage = this.#appStage;
    return {
      app: stage === 'started' ? (this.#app.up ? 'up' : 'down') : stage,
      pid: this.#app.pid,
      restarts: this.#app.restarts,
      registered: this.#enrolment?.registered ?? false,
      draining: this.#draining,
    };
  }

  /** Where it listens. @throws NotRunningError before it is started. */
  get addresses(): SidecarAddresses {
    if (this.#addresses === undefined) throw new NotRunningError('sidecar', this.state);
    return this.#addresses;
  }

  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof SidecarEvents & string>(
    event: K,
    listener: (payload: SidecarEvents[K]) => void,
  ): Unsubscribe {
    return this.#events.on(event, listener);
  }

  /**
   * Open the outbound and admin listeners, start the app, wait until it is healthy, open the inbound listener, register.
   * A registry that cannot be reached does not keep the sidecar from starting: registering is tried again until it
   * succeeds, and `/readyz` says so.
   *
   * A sidecar whose start failed has stopped everything again and is finished; make a new one.
   *
   * @throws AppError when the app cannot be started, crashes too often, or is not healthy within `startTimeout`.
   * @throws NotRunningError when it is stopped meanwhile, or was before.
   */
  async start(): Promise<this> {
    try {
      await this.#lifecycle.start(() => this.#begin());
    } catch (error) {
      await this.stop({ timeout: 0 });
      throw error;
    }
    return this;
  }

  /**
   * Drain and stop, in the order that loses no request: not ready any more; draining in the registry, for `drainDelay`,
   * then out of it; requests under way finish; the app is stopped; then the outbound listener, which the app could use
   * until its end; then the admin listener. Idempotent. What goes wrong on the way is a process warning.
   *
   * @param options `timeout`: how long requests under way may take. Default: the option `drainTimeout`.
   * @throws InvalidOptionsError
   */
  async stop(options: { readonly timeout?: Duration } = {}): Promise<void> {
    const { timeout = this.#options.drainTimeout } = parseOptions('stop', stopSchema, options);
    this.#startCancelled.abort(new NotRunningError('sidecar', 'stopping'));
    await this.#lifecycle.stop(() => this.#end(timeout));
  }

  /** As {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #begin(): Promise<void> {
    const { app, inbound, outbound, admin } = this.#options;
    const { signal } = this.#startCancelled;
    try {
      await this.#registry.start();
      const outboundAddress = await this.#outbound.listen(outbound);
      const adminAddress = await this.#admin.listen(admin);
      const environment = {
        PORT: String(app.port),
        HOLDFAST_OUTBOUND: localUrl(outbound.host, outboundAddress),
      };
      await this.#app.start(environment, signal);
      const inboundAddress = await this.#inbound.listen({ port: inbound.port, host: inbound.host });
      this.#addresses = { inbound: inboundAddress, outbound: outboundAddress, admin: adminAddress };
      const instance = { service: app.name, id: this.#runtime.id(), port: inboundAddress.port };
      const enrolment = new Enrolment(this.#registry, instance, this.#runtime);
      this.#enrolment = enrolment;
      if (this.#app.up) await withinSignal(signal, () => enrolment.enrol());
      signal.throwIfAborted();
    } catch (error) {
      await this.#end(0);
      throw error;
    }
    this.#events.emit('started', { addresses: this.#addresses });
  }

  async #end(timeout: number): Promise<void> {
    const { name } = this.#options.app;
    this.#draining = true;
    this.#events.emit('draining', { app: name });
    const steps: [what: string, step: () => Promise<unknown> | undefined][] = [
      ['leave the registry', () => this.#enrolment?.drain(this.#options.drainDelay)],
      ['stop the inbound listener', () => this.#inbound.stop({ timeout })],
      ['stop the app', () => this.#app.stop()],
      ['stop the outbound listener', () => this.#outbound.stop({ timeout: outboundGrace })],
      ['close the registry', () => this.#registry.stop()],
      ['stop the admin listener', () => this.#admin.stop({ timeout: 0 })],
    ];
    for (const [what, step] of steps) {
      // Each must have its chance: an app must not be left behind because a listener would not close.
      await step()?.catch((error) => warnOf(`the sidecar of ${name} could not ${what}`, error));
    }
    this.#events.emit('stopped', { app: name });
  }

  #appListener(): ConstructorParameters<typeof App>[2] {
    const { name } = this.#options.app;
    return {
      started: (pid, restarts) => this.#events.emit('appStarted', { pid, restarts }),
      exited: (exit, restartIn) => this.#events.emit('appExited', { ...exit, restartIn }),
      health: (up) => {
        if (up) this.#appStage = 'started';
        this.#events.emit(up ? 'appReady' : 'appLost', { app: name });
        this.#follow(up);
      },
      gaveUp: (error) => {
        this.#appStage = 'failed';
        this.#events.emit('failed', { error });
      },
    };
  }

  /** The registry follows the app's health, until the way out has begun. */
  #follow(up: boolean): void {
    if (this.#draining || this.#enrolment === undefined) return;
    const done = up ? this.#enrolment.enrol() : this.#enrolment.withdraw();
    done.catch((error) => warnOf(`the sidecar of ${this.#options.app.name} could not register`, error));
  }
}

/** Calls of an app that has ended may finish, but not for long: nobody waits for them. */
const outboundGrace = 1_000;

const statusGauges: readonly [name: string, help: string, read: (status: SidecarStatus) => number][] = [
  ['sidecar_app_up', 'Whether the app is healthy.', ({ app }) => Number(app === 'up')],
  ['sidecar_ready', 'Whether the app can be given requests.', (status) => Number(isReady(status))],
  ['sidecar_app_restarts', 'How often the app was started again.', ({ restarts }) => restarts],
];

/** The user's runtime, whose events also reach the sidecar's metrics and access log. */
function withTelemetry({ accessLog: wanted, runtime }: SidecarSettings, metrics: Prometheus): Runtime {
  const write = typeof wanted === 'function' ? wanted : undefined;
  const log = wanted === false ? undefined : accessLog({ write, runtime });
  return resolveRuntime({
    ...runtime,
    telemetry: combineTelemetry(runtime?.telemetry, metrics.telemetry, log),
  });
}
