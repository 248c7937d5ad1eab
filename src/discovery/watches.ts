import type { Timer } from '../core/clock.ts';
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

  constructor(context: RegistryContext) {
    this.#context = context;
  }

  /** The watch of a service that is watched already. */
  known(service: string): ServiceWatch | undefined {
    const watch = this.#entries.get(service)?.watch;
    watch?.touch();
    return watch;
  }

  /** The watch of a service, begun now if need be. The name must have been checked. */
  of(service: string): ServiceWatch {
    return this.known(service) ?? this.#begin(service);
  }

  #begin(service: string): ServiceWatch {
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
      if (left <= 0) this.#forget(watch);
      else if (entry !== undefined) entry.timer = this.#expireIn(left, watch);
    });
  }

  /** Make room. What somebody iterates stays: a watch never ends by itself. */
  #forgetLeastAsked(): void {
    let least: ServiceWatch | undefined;
    for (const { watch } of this.#entries.values()) {
      if (!watch.inUse && (least === undefined || watch.askedAt < least.askedAt)) least = watch;
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
    for (const { watch, timer } of this.#entries.values()) {
      timer.cancel();
      watch.close();
    }
    this.#entries.clear();
  }
}
