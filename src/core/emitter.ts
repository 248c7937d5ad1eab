import { EventEmitter } from 'eventemitter3';
import { warnOf } from './log.ts';
import type { Telemetry } from './runtime.ts';

/** Stops a subscription. Idempotent. */
export type Unsubscribe = () => void;

/**
 * What every primitive holds (and does not extend) to tell what happened. The same event reaches the runtime's
 * telemetry. A listener that throws is reported as a process warning and stops neither the others nor the call.
 */
export class Emitter<Events extends { readonly [K in keyof Events]: object }> {
  /** Made for the first listener: most emitters never have one. */
  #listeners: EventEmitter | undefined;
  readonly #telemetry: Telemetry | undefined;
  readonly #primitive: string;
  readonly #name: string;

  constructor(primitive: string, name: string, telemetry: Telemetry | undefined) {
    this.#primitive = primitive;
    this.#name = name;
    this.#telemetry = telemetry;
  }

  /** Subscribe; returns the function that ends the subscription. */
  on<K extends keyof Events & string>(event: K, listener: (payload: Events[K]) => void): Unsubscribe {
    const isolated = (payload: Events[K]): void => {
      try {
        const result: unknown = listener(payload);
        // An async listener's rejection must not become an unhandled one.
        if (result instanceof Promise) result.catch((error) => this.#report(event, error));
      } catch (error) {
        this.#report(event, error);
      }
    };
    this.#listeners ??= new EventEmitter();
    const listeners = this.#listeners.on(event, isolated);
    return () => void listeners.off(event, isolated);
  }

  /** Whether anyone would see some event. */
  get isHeard(): boolean {
    return (
      this.#telemetry !== undefined ||
      (this.#listeners !== undefined && this.#listeners.eventNames().length > 0)
    );
  }

  /** Whether anyone would see the event; ask it before building a payload on a hot path. */
  wants(event: keyof Events & string): boolean {
    if (this.#telemetry !== undefined) return true;
    return this.#listeners !== undefined && this.#listeners.listenerCount(event) > 0;
  }

  /** Tell the listeners, then the telemetry. Never throws. */
  emit<K extends keyof Events & string>(event: K, payload: Events[K]): void {
    this.#listeners?.emit(event, payload);
    if (this.#telemetry === undefined) return;
    try {
      this.#telemetry.record({ primitive: this.#primitive, name: this.#name, type: event, payload });
    } catch (error) {
      this.#report(event, error);
    }
  }

  #report(event: string, error: unknown): void {
    warnOf(`a listener of '${event}' on ${this.#primitive} ${this.#name} threw`, error);
  }
}
