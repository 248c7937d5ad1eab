import type { Timer } from '../core/clock.ts';
import { NotRunningError } from '../core/errors.ts';
import type { RegistryContext } from './context.ts';
import { ServiceWatch } from './service-watch.ts';

interface Entry {
  readonly watch: ServiceWatch;
  timer: Timer;
}

/** The services that are watched now: at most `maxServices`, each until nobody has asked for it for `forgetAfter`. */
export class Watches {
  readonly #context: RegistryContext;
  readonly #entries: Map<string, Entry> = new Map();
  #closed = false;

  constructor(context: RegistryContext) {
    this.#context = context;
  }

  /** The watch of a service that is watched already. */
  known(service: string): ServiceWatch | undefined {
    const watch = this.#entries.get(service)?.watch;
    watch?.touch();
    return watch;
  }

  /**
   * The watch of a service, begun now if need be. The name must have been checked.
   *
   * @throws NotRunningError once closed.
   */
  of(service: string): ServiceWatch {
    return this.known(service) ?? this.#begin(service);
  }

  #begin(service: string): ServiceWatch {
    if (this.#closed) throw new NotRunningError('service registry', 'stopped');
    if (this.#entries.size >= this.#context.settings.maxServices) this.#forgetLeastAsked();
    const watch = new ServiceWatch(this.#context, service);
    this.#entries.set(service, { watch, timer: this.#expireIn(this.#context.settings.forgetAfter, watch) });
    return watch;
  }

  /** Look in a while whether somebody has asked since; if not, forget the watch. */
  #expireIn(delay: number, watch: ServiceWatch): Timer {
    const { runtime, settings } = this.#context;
    return runtime.clock.schedule(delay, () => {
      const left = watch.askedAt + settings.forgetAfter - runtime.clock.now();
      const entry = this.#entries.get(watch.service);
      if (left <= 0 && !watch.needed) this.#forget(watch);
      else if (entry !== undefined)
        entry.timer = this.#expireIn(left > 0 ? left : settings.forgetAfter, watch);
    });
  }

  /** Make room. What is needed stays, though there be too many. */
  #forgetLeastAsked(): void {
    let least: ServiceWatch | undefined;
    for (const { watch } of this.#entries.values()) {
      if (!watch.needed && (least === undefined || watch.askedAt < least.askedAt)) least = watch;
    }
    if (least !== undefined) this.#forget(least);
  }

  #forget(watch: ServiceWatch): void {
    this.#entries.get(watch.service)?.timer.cancel();
    this.#entries.delete(watch.service);
    watch.close();
    this.#context.events.emit('forgotten', { service: watch.service });
  }

  /** Stop watching everything. */
  close(): void {
    this.#closed = true;
    for (const { watch, timer } of this.#entries.values()) {
      timer.cancel();
      watch.close();
    }
    this.#entries.clear();
  }
}
