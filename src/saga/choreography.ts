/**
 * Choreography: a transaction without a conductor. Each participant hears events and says others; what belongs together
 * carries one correlation id, and each event names the one that caused it.
 */
import { createHash } from 'node:crypto';
import { type Duration, milliseconds } from '../core/duration.ts';
import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { InvalidPayloadError } from '../core/errors.ts';
import { InFlight, Lifecycle } from '../core/lifecycle.ts';
import { warnOf } from '../core/log.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { Delivery, Message, MessageBus } from '../ports/message-bus.ts';
import type { EventCatalog, EventInput, EventOutput, EventSchemas } from './event-catalog.ts';
import type { Inbox } from './inbox.ts';
import { type ParticipantSettings, parseParticipantOptions } from './participant-options.ts';

/** Header that holds what belongs together; equal for all events of one business transaction. */
export const correlationHeader = 'holdfast-correlation-id';
/** Header that holds the id of the event that caused this one. */
export const causationHeader = 'holdfast-causation-id';
/** Header that holds the name of the participant that said it. */
export const sourceHeader = 'holdfast-source';

/** An event as a handler gets it. */
export interface ReceivedEvent<Payload> {
  readonly id: string;
  readonly event: string;
  /** What the schema made of it. */
  readonly payload: Payload;
  /** What keeps order: events of one key are handled one after the other. */
  readonly key: string;
  /** Equal for all events of one business transaction. */
  readonly correlationId: string;
  /** The event that caused this one; undefined for the first. */
  readonly causationId: string | undefined;
  /** 1 for the first time, 2 for the first redelivery. */
  readonly attempt: number;
}

/** Options of {@link Participant.publish}. */
export interface PublishOptions {
  /** What keeps order. Default: the correlation id. */
  readonly key?: string | undefined;
  /** The message's id, by which receivers deduplicate. Default: a new one. */
  readonly id?: string | undefined;
  /** What it belongs to. Default: the message's own id. */
  readonly correlationId?: string | undefined;
}

/** What a handler is given beside the event. */
export interface HandlerContext<Schemas extends EventSchemas> {
  /**
   * Say what follows from the event: same correlation and key, caused by it. Its id depends only on the event, the
   * participant and how many were said before, so that a handler that is run again says the same again.
   *
   * @throws InvalidPayloadError when the payload is not what the catalog says.
   */
  publish<Event extends keyof Schemas & string>(
    event: Event,
    payload: EventInput<Schemas[Event]>,
    options?: Pick<PublishOptions, 'key'>,
  ): Promise<void>;
  /** Aborts when nobody waits for the handler any more. */
  readonly signal: AbortSignal;
}

/** What a participant does about the events that it hears. */
export type EventHandlers<Schemas extends EventSchemas> = {
  readonly [Event in keyof Schemas & string]?: (
    event: ReceivedEvent<EventOutput<Schemas[Event]>>,
    context: HandlerContext<Schemas>,
  ) => unknown;
};

/** Options of {@link participant}. */
export interface ParticipantOptions<Schemas extends EventSchemas> {
  readonly bus: MessageBus;
  readonly catalog: EventCatalog<Schemas>;
  /** Its name, which is also its consumer group: instances of one name share the work. */
  readonly name: string;
  /** What to hear and what to do then. Default: nothing; it only speaks. */
  readonly on?: EventHandlers<Schemas> | undefined;
  /** What was handled already. Default: `memoryInbox()`. */
  readonly inbox?: Inbox | undefined;
  /** Deliveries before an event is given up. Default 10. */
  readonly maxAttempts?: number | undefined;
  /** Told of each message that is given up or cannot be understood. Default: a process warning. */
  readonly onDeadLetter?: ((message: Delivery, error: unknown) => void | Promise<void>) | undefined;
  /** Clock, ids and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** What happens in a {@link Participant}. */
export interface ParticipantEvents {
  readonly published: { readonly id: string; readonly event: string; readonly correlationId: string };
  readonly handled: { readonly id: string; readonly event: string; readonly correlationId: string };
  /** A message came again and was not handled again. */
  readonly duplicated: { readonly id: string; readonly event: string };
  /** The handler or the inbox failed, or what was given up could not be told; the message comes again. */
  readonly failed: {
    readonly id: string;
    readonly event: string;
    readonly attempt: number;
    readonly error: unknown;
  };
  readonly deadLettered: { readonly id: string; readonly event: string; readonly error: unknown };
}

/** One service's part in a choreography. Made by {@link participant}. */
export class Participant<Schemas extends EventSchemas> {
  readonly #settings: ParticipantSettings;
  readonly #runtime: Runtime;
  readonly #emitter: Emitter<ParticipantEvents>;
  readonly #lifecycle: Lifecycle;
  readonly #inFlight: InFlight = new InFlight();
  #off: Unsubscribe | undefined;

  constructor(options: ParticipantOptions<Schemas>) {
    this.#settings = parseParticipantOptions(options);
    this.#runtime = resolveRuntime(this.#settings.runtime);
    this.#emitter = new Emitter('participant', this.#settings.name, this.#runtime.telemetry);
    this.#lifecycle = new Lifecycle(`participant ${this.#settings.name}`);
  }

  /** Begin to hear. @throws what the bus throws; call it again. */
  async start(): Promise<this> {
    await this.#lifecycle.start(async () => {
      const { bus, name: group, on, maxAttempts } = this.#settings;
      const topics = Object.keys(on);
      if (topics.length === 0) return;
      const handler = (message: Delivery, signal: AbortSignal): Promise<void> =>
        this.#inFlight.track(this.#receive(message, signal));
      const onDeadLetter = (message: Delivery, error: unknown): Promise<void> => this.#bury(message, error);
      this.#off = await bus.subscribe(topics, handler, { group, maxAttempts, onDeadLetter });
    });
    return this;
  }

  /**
   * Say something that no event caused: the beginning of a business transaction.
   *
   * @throws InvalidPayloadError when the payload is not what the catalog says; NotRunningError before `start`.
   * @throws What the bus throws: it may have been said then, so say it again with the same id.
   */
  async publish<Event extends keyof Schemas & string>(
    event: Event,
    payload: EventInput<Schemas[Event]>,
    options: PublishOptions = {},
  ): Promise<void> {
    this.#lifecycle.assertRunning();
    const { id = this.#runtime.id() } = options;
    const { correlationId = id } = options;
    const { key = correlationId } = options;
    await this.#send(event, payload, { id, key, correlationId });
  }

  async #send(
    event: string,
    payload: unknown,
    about: {
      readonly id: string;
      readonly key: string;
      readonly correlationId: string;
      readonly causationId?: string;
    },
  ): Promise<void> {
    const { bus, catalog, name } = this.#settings;
    const { id, key, correlationId, causationId } = about;
    const headers = {
      [correlationHeader]: correlationId,
      [sourceHeader]: name,
      ...(causationId !== undefined && { [causationHeader]: causationId }),
    };
    const message: Message = {
      id,
      topic: event,
      key,
      payload: await catalog.encode(event, payload),
      headers,
    };
    await bus.publish(message);
    this.#emitter.emit('published', { id, event, correlationId });
  }

  async #receive(message: Delivery, signal: AbortSignal): Promise<void> {
    const { id, topic: event, attempt } = message;
    try {
      await this.#take(message, signal);
    } catch (error) {
      this.#emitter.emit('failed', { id, event, attempt, error });
      throw error;
    }
  }

  async #take(message: Delivery, signal: AbortSignal): Promise<void> {
    const { catalog, inbox, name } = this.#settings;
    const { id, topic: event } = message;
    if (await inbox.has(name, id)) return this.#emitter.emit('duplicated', { id, event });
    let payload: unknown;
    try {
      payload = await catalog.decode(event, message.payload);
    } catch (error) {
      // A schema that throws says nothing of the event; it may be better the next time.
      if (!(error instanceof InvalidPayloadError)) throw error;
      return this.#bury(message, error);
    }
    await this.#handle(message, payload, signal);
    await inbox.add(name, id);
    const correlationId = message.headers[correlationHeader] ?? id;
    this.#emitter.emit('handled', { id, event, correlationId });
  }

  async #handle(message: Delivery, payload: unknown, signal: AbortSignal): Promise<void> {
    const { name, on } = this.#settings;
    const { id, topic: event, key, attempt, headers } = message;
    const correlationId = headers[correlationHeader] ?? id;
    const received = {
      id,
      event,
      payload,
      key,
      correlationId,
      causationId: headers[causationHeader],
      attempt,
    };
    let said = 0;
    const publish = async (
      next: string,
      content: unknown,
      options: { readonly key?: string } = {},
    ): Promise<void> => {
      said += 1;
      const about = {
        id: derivedId(id, name, said, next),
        key: options.key ?? key,
        correlationId,
        causationId: id,
      };
      await this.#send(next, content, about);
    };
    await on[event]?.(received, { publish, signal });
  }

  async #bury(message: Delivery, error: unknown): Promise<void> {
    const { onDeadLetter, name } = this.#settings;
    const { id, topic: event } = message;
    this.#emitter.emit('deadLettered', { id, event, error });
    if (onDeadLetter !== undefined) return onDeadLetter(message, error);
    warnOf(`participant ${name} gave up event ${event} ${id}`, error);
  }

  /** Subscribe to what happens here; returns the function that ends the subscription. */
  on<K extends keyof ParticipantEvents & string>(
    event: K,
    listener: (payload: ParticipantEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  /** Hear nothing more and wait for handlers under way, at most `timeout` (default 10 seconds). The bus stays open. */
  async stop(options: { readonly timeout?: Duration | undefined } = {}): Promise<void> {
    const timeout = milliseconds(options.timeout ?? '10s', 'timeout');
    await this.#lifecycle.stop(async () => {
      this.#off?.();
      await this.#inFlight.drained(this.#runtime.clock, timeout);
    });
  }

  /** The same as {@link Participant.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * Equal for equal causes, and of one length however long the chain. What a handler says otherwise when it hears a message
 * again is another event, which must not be taken for the one that it said before.
 */
function derivedId(cause: string, participantName: string, count: number, event: string): string {
  const text = JSON.stringify([cause, participantName, count, event]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/**
 * Take part in a choreography: hear events of the catalog and answer with others. Each event is checked on both sides,
 * handled once per id as far as the inbox remembers, retried when its handler rejects, and given up in the end.
 *
 * @throws InvalidOptionsError naming the option, such as a handler for an event that the catalog does not have.
 */
export function participant<Schemas extends EventSchemas>(
  options: ParticipantOptions<Schemas>,
): Participant<Schemas> {
  return new Participant(options);
}
