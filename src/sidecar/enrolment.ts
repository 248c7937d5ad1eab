import { exponential } from '../core/backoff.ts';
import { sleep } from '../core/clock.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import { debugLog } from '../core/log.ts';
import type { Runtime } from '../core/runtime.ts';
import type { InstanceOptions } from '../discovery/instance.ts';
import type { Registration } from '../discovery/lease.ts';
import type { ServiceRegistry } from '../discovery/service-registry.ts';

const log = debugLog('sidecar');

const backoff = exponential({ base: 200, max: 5_000 });

/**
 * Keeps the app in the registry while it is wanted there. Wishes may change faster than the registry answers: they are
 * carried out one after the other, and only the newest counts.
 */
export class Enrolment {
  readonly #registry: ServiceRegistry;
  readonly #instance: InstanceOptions;
  readonly #runtime: Runtime;
  #wanted = false;
  #registration: Registration | undefined;
  #worker: Promise<void> | undefined;
  /** Aborted when the wish changes, so that no wait outlives it. */
  #wish: AbortController = new AbortController();
  #attempted: () => void = () => {};

  constructor(registry: ServiceRegistry, instance: InstanceOptions, runtime: Runtime) {
    this.#registry = registry;
    this.#instance = instance;
    this.#runtime = runtime;
  }

  /** Whether others can find the app now, as far as is known. */
  get registered(): boolean {
    const state = this.#registration?.state;
    return state === 'registered' || state === 'unconfirmed';
  }

  /**
   * Have the app registered from now on. Resolves after the first attempt; a registry that cannot be reached is tried
   * again in the background.
   *
   * @throws InvalidOptionsError when the registry would never take it, such as for a bad host.
   */
  async enrol(): Promise<void> {
    const attempted = new Promise<void>((resolve) => {
      this.#attempted = resolve;
    });
    const work = this.#want(true);
    await Promise.race([attempted, work]);
  }

  /** Have the app out of the registry. Resolves when it is, or when the registry could not be told and will expire it. */
  async withdraw(): Promise<void> {
    await this.#want(false);
  }

  /** As {@link Enrolment.withdraw}, but first others are asked to send new calls elsewhere, and given time to hear it. */
  async drain(delay: number): Promise<void> {
    const registration = this.#registration;
    if (registration !== undefined) {
      await registration.drain().catch((error) => log('could not mark the app draining: %O', error));
      await sleep(this.#runtime.clock, delay);
    }
    await this.withdraw();
  }

  async #want(registered: boolean): Promise<void> {
    this.#wanted = registered;
    this.#wish.abort();
    this.#wish = new AbortController();
    do {
      this.#worker ??= this.#carryOut().finally(() => {
        this.#worker = undefined;
      });
      await this.#worker;
      // Again, because the worker may have been about to end when the wish came.
    } while (this.#wanted !== (this.#registration !== undefined));
  }

  async #carryOut(): Promise<void> {
    let failures = 0;
    while (this.#wanted !== (this.#registration !== undefined)) {
      if (!this.#wanted) {
        await this.#deregister();
      } else if (await this.#register()) {
        failures = 0;
      } else {
        failures += 1;
        const { clock, random } = this.#runtime;
        await sleep(clock, backoff(failures, random), this.#wish.signal).catch(() => {});
      }
    }
  }

  async #register(): Promise<boolean> {
    try {
      this.#registration = await this.#registry.register(this.#instance);
    } catch (error) {
      if (error instanceof InvalidOptionsError) throw error;
      log('could not register the app, trying again: %O', error);
    }
    this.#attempted();
    return this.#registration !== undefined;
  }

  async #deregister(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    await registration?.deregister().catch((error) => log('could not deregister the app: %O', error));
  }
}
