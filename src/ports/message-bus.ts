/**
 * MessageBus: events between services (memory, NATS, RabbitMQ, Redis streams …).
 *
 * Contract:
 * - **At least once.** A published message reaches every consumer group subscribed to its topic at least once; it may
 *   come again (after a crash, a timeout, a lost acknowledgement), so handlers are idempotent by `id`.
 * - **Order.** Messages of one `key` reach a group one at a time, in the order in which they were published. Nothing is
 *   said about messages of different keys.
 * - **Groups.** Within a group each message goes to one subscriber. A group that was never subscribed to misses what
 *   was published before.
 * - **Acknowledgement.** A handler that resolves acknowledges. One that rejects gets the message again after a backoff;
 *   after `maxAttempts` it is given to the dead-letter handler, and the next of its key goes on.
 * - `publish` resolves once the bus has taken the message in its durability; when it rejects, it may have.
 */

import type { Unsubscribe } from '../core/emitter.ts';
import type { JsonValue } from '../core/json.ts';

/** One event on its way. */
export interface Message {
  /** Unique; what consumers deduplicate by. */
  readonly id: string;
  /** Such as `order.placed`. */
  readonly topic: string;
  /** What keeps order: messages of one key are handled one after the other. */
  readonly key: string;
  readonly payload: JsonValue;
  /** Such as trace context. Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A message as a handler gets it. */
export interface Delivery extends Message {
  /** 1 for the first time, 2 for the first redelivery. */
  readonly attempt: number;
}

/** Handles one delivery; resolve to acknowledge, reject to have it again. */
export type MessageHandler = (message: Delivery, signal: AbortSignal) => Promise<void>;

/** Options of {@link MessageBus.subscribe}. */
export interface SubscribeOptions {
  /** Consumer group: each message goes to one subscriber of the group. */
  readonly group: string;
  /** Deliveries before a message is given up. Default 10. */
  readonly maxAttempts?: number | undefined;
  /** Told of each message that was given up. Default: it is dropped with a process warning. */
  readonly onDeadLetter?: ((message: Delivery, error: unknown) => void | Promise<void>) | undefined;
}

/** Carries events between services. */
export interface MessageBus {
  /** For messages and metrics, such as `memory`. */
  readonly name: string;
  /** Resolves once the bus has taken the message in its durability. */
  publish(message: Message): Promise<void>;
  /** Resolves once messages published from now on will be delivered. */
  subscribe(
    topics: readonly string[],
    handler: MessageHandler,
    options: SubscribeOptions,
  ): Promise<Unsubscribe>;
  /** Stop delivering, wait for handlers under way, release what the bus opened. Idempotent. */
  close(): Promise<void>;
}
