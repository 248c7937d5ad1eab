/**
 * Keeps one instance of ours in the registry: registers it, renews it every third of its `ttl`, registers it again
 * when the registry has forgotten it, and takes it out at the end. What it asks of the backend, it asks one after the
 * other.
 */
import { type Backoff, exponential } from '../core/backoff.ts';
import type { Timer } from '../core/clock.ts';
import { NotRunningError, type RegistryError } from '../core/errors.ts';
import type {
  InstanceStatus,
  RegistrationHandle,
  RegistryBackend,
  ServiceInstance,
} from '../ports/registry-backend.ts';
import { ask, type RegistryContext } from './context.ts';
import { withStatus } from './instance.ts';

/**
 * Where a registration stands: `pending` until the registry has it; `registered`; `unconfirmed` when the newest renewal
 * failed, so that others may soon miss it; `lost` when the registry has forgotten it and it is not back yet;
 * `deregistered`, which is final.
 */
export type RegistrationState = 'pending' | 'registered' | 'unconfirmed' | 'lost' | 'deregistered';

/** One instance of ours in the registry. Heartbeats until it is deregistered or the registry stops. */
export interface Registration {
  /** The instance with the status that it should have now. */
  readonly instance: ServiceInstance;
  /** Where it stands. */
  readonly state: RegistrationState;
  /** Wall time at which the registry last confirmed it, in milliseconds. */
  readonly confirmedAt: number | undefined;
  /**
   * Mark it draining: others send new calls elsewhere. It stays so also when it has to be registered again.
   *
   * @throws RegistryError when the registry could not be told now; it is told with the next heartbeat.
   */
  drain(): Promise<void>;
  /**
   * Stop the heartbeats and take it out of the registry. Idempotent.
   *
   * @throws RegistryError when the registry could not be told; it expires there after its `ttl`.
   */
  deregister(): Promise<void>;
}

/** See {@link Registration}. */
export class Lease implements Registration {
  readonly #context: RegistryContext;
  readonly #described: ServiceInstance;
  readonly #onEnd: () => void;
  readonly #closing: AbortController = new AbortController();
  readonly #backoff: Backoff;
  #status: InstanceStatus = 'up';
  /** The status that the registry was last told. */
  #told: InstanceStatus = 'up';
  #state: RegistrationState = 'pending';
  #confirmedAt: number | undefined;
  #handle: RegistrationHandle | undefined;
  #failures = 0;
  #timer: Timer | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #deregistered: Promise<void> | undefined;

  /** @param onEnd called once, when it ends */
  constructor(context: RegistryContext, instance: ServiceInstance, onEnd: () => void) {
    this.#context = context;
    this.#described = instance;
    this.#onEnd = onEnd;
    const interval = context.settings.ttl / 3;
    this.#backoff = exponential({ base: interval / 8, max: interval });
  }

  get instance(): ServiceInstance {
    return withStatus(this.#described, this.#status);
  }

  get state(): RegistrationState {
    return this.#state;
  }

  get confirmedAt(): number | undefined {
    return this.#confirmedAt;
  }

  /**
   * Register for the first time, and heartbeat from then on.
   *
   * @throws RegistryError, and nothing is left behind that would not expire.
   */
  async open(): Promise<void> {
    try {
      await this.#inTurn(() => this.#register());
    } catch (error) {
      if (this.#closing.signal.aborted) throw new NotRunningError('the registration', 'stopped');
      this.#end();
      throw error;
    }
    this.#scheduleBeat();
  }

  async drain(): Promise<void> {
    this.#status = 'draining';
    await this.#inTurn(() => this.#tellStatus());
  }

  deregister(): Promise<void> {
    this.#deregistered ??= this.#deregister();
    return this.#deregistered;
  }

  async #deregister(): Promise<void> {
    this.#end();
    await this.#inTurn(async () => {
      const handle = this.#handle;
      this.#handle = undefined;
      if (handle === undefined) return;
      await this.#ask('deregister', undefined, (_, signal) => handle.deregister(signal));
      this.#context.events.emit('deregistered', { instance: this.instance });
    });
  }

  /** No more heartbeats; what is under way is given up. */
  #end(): void {
    this.#state = 'deregistered';
    this.#timer?.cancel();
    this.#closing.abort(new Error('it was deregistered'));
    this.#onEnd();
  }

  #scheduleBeat(): void {
    if (this.#closing.signal.aborted) return;
    const { clock, random } = this.#context.runtime;
    const interval = this.#context.settings.ttl / 3;
    // Up to a tenth early: instances that started together drift apart, and none is ever late.
    const delay =
      this.#failures === 0 ? interval * (1 - random() / 10) : this.#backoff(this.#failures, random);
    this.#timer = clock.schedule(delay, () => void this.#beat());
  }

  async #beat(): Promise<void> {
    try {
      await this.#inTurn(() => this.#renew());
      this.#failures = 0;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failures += 1;
      if (this.#state === 'registered') this.#state = 'unconfirmed';
      this.#context.events.emit('registrationFailed', {
        instance: this.instance,
        error: error as RegistryError,
      });
    }
    this.#scheduleBeat();
  }

  async #renew(): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) return this.#register();
    const outcome = await this.#ask('renew', this.#closing.signal, (_, signal) => handle.renew(signal));
    if (outcome === 'lost') {
      this.#handle = undefined;
      this.#state = 'lost';
      this.#context.events.emit('registrationLost', { instance: this.instance });
      return this.#register();
    }
    this.#confirm();
    await this.#tellStatus();
  }

  async #register(): Promise<void> {
    const { signal } = this.#closing;
    const { ttl } = this.#context.settings;
    const instance = this.instance;
    this.#handle = await this.#ask('register', signal, (backend, limited) => {
      const request = backend.register(instance, { ttl, signal: limited });
      request.then(withdrawIfLate, () => {});
      return request;
    });
    this.#told = instance.status;
    this.#confirm();
    this.#context.events.emit('registered', { instance });

    // A registration that succeeds after we gave up must not stay behind.
    function withdrawIfLate(handle: RegistrationHandle): void {
      if (signal.aborted) handle.deregister().catch(() => {});
    }
  }

  async #tellStatus(): Promise<void> {
    const handle = this.#handle;
    const status = this.#status;
    if (handle === undefined || this.#told === status) return;
    await this.#ask('change the status of', this.#closing.signal, (_, signal) =>
      handle.setStatus(status, signal),
    );
    this.#told = status;
    this.#context.events.emit('statusChanged', { instance: this.instance, status });
  }

  #confirm(): void {
    if (this.#closing.signal.aborted) return;
    this.#state = 'registered';
    this.#confirmedAt = this.#context.runtime.clock.wallTime();
  }

  #ask<T>(
    what: string,
    signal: AbortSignal | undefined,
    request: (backend: RegistryBackend, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { service, id } = this.#described;
    return ask(this.#context, `${what} ${service}/${id}`, signal, request);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }
}
