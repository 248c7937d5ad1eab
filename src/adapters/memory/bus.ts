import { abortController } from '../../core/abort-controller.ts';
import { exponential } from '../../core/backoff.ts';
import type { Duration } from '../../core/duration.ts';
import type { Unsubscribe } from '../../core/emitter.ts';
import { StoreError } from '../../core/errors.ts';
import { parseJson, stringifyJson } from '../../core/json.ts';
import { InFlight } from '../../core/lifecycle.ts';
import { warnOf } from '../../core/log.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { Message, MessageBus, MessageHandler, SubscribeOptions } from '../../ports/message-bus.ts';
import { BusGroup, type Subscriber } from './bus-group.ts';

/** Options of {@link memoryBus}. */
export interface MemoryBusOptions {
  /** How many messages may wait in a group before `publish` rejects. Default 100,000. */
  readonly capacity?: number | undefined;
  /** How many messages of a group are handled at once, of different keys. Default 64. */
  readonly concurrency?: number | undefined;
  /** The longest that `close` waits for handlers; then their signals abort. Default 10 seconds. */
  readonly closeTimeout?: Duration | undefined;
  /** Clock and randomness of redeliveries. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  capacity: z.int().min(1).default(100_000),
  concurrency: z.int().min(1).default(64),
  closeTimeout: durationOption().default(10_000),
  runtime: runtimeOption(),
});

const subscribeSchema = z.object({
  topics: z.array(z.string().min(1)).min(1),
  group: z.string().min(1),
  maxAttempts: z.int().min(1).default(10),
});

type Settings = z.output<typeof optionsSchema>;

/**
 * Carries events within this process: at least once, in order by key, with redelivery and dead letters. A group that was
 * subscribed to once keeps what comes for it while nobody subscribes, until the bus closes.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function memoryBus(options: MemoryBusOptions = {}): MessageBus {
  const settings = parseOptions('memoryBus', optionsSchema, options);
  return new MemoryBus(settings, resolveRuntime(settings.runtime));
}

class MemoryBus implements MessageBus {
  readonly name = 'memory';
  readonly #settings: Settings;
  readonly #runtime: Runtime;
  readonly #groups: Map<string, BusGroup> = new Map();
  readonly #inFlight: InFlight = new InFlight();
  readonly #aborted: AbortController = abortController();
  #closing: Promise<void> | undefined;

  constructor(settings: Settings, runtime: Runtime) {
    this.#settings = settings;
    this.#runtime = runtime;
  }

  async publish(message: Message): Promise<void> {
    this.#assertOpen('publish');
    const { id, topic, key, headers } = message;
    const payload = stringifyJson(message.payload, `message ${id}`);
    const groups = [...this.#groups.values()].filter((group) => group.wants(topic));
    const full = groups.find((group) => group.size >= this.#settings.capacity);
    if (full !== undefined) {
      const why = new Error(`${full.size} messages wait in group ${full.name}`);
      throw new StoreError('memory bus', 'publish', why);
    }
    const copy = { ...headers };
    const fresh = (): Message => ({
      id,
      topic,
      key,
      headers: { ...copy },
      payload: parseJson(payload, `message ${id}`),
    });
    for (const group of groups) group.add({ topic, key, fresh, attempt: 0 });
  }

  async subscribe(
    topics: readonly string[],
    handler: MessageHandler,
    options: SubscribeOptions,
  ): Promise<Unsubscribe> {
    this.#assertOpen('subscribe');
    const { onDeadLetter = dropped } = options;
    const checked = parseOptions('subscribe', subscribeSchema, { ...options, topics });
    const { group: name, maxAttempts } = checked;
    let group = this.#groups.get(name);
    if (group === undefined) {
      const { clock, random } = this.#runtime;
      const { concurrency } = this.#settings;
      const backoff = exponential({ base: 100, max: 10_000 });
      const shared = {
        clock,
        random,
        backoff,
        concurrency,
        inFlight: this.#inFlight,
        signal: this.#aborted.signal,
      };
      group = new BusGroup(name, shared);
      this.#groups.set(name, group);
    }
    const subscriber: Subscriber = { topics: new Set(checked.topics), handler, maxAttempts, onDeadLetter };
    return group.subscribe(subscriber);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const group of this.#groups.values()) group.close();
    await this.#inFlight.drained(this.#runtime.clock, this.#settings.closeTimeout);
    this.#aborted.abort(new Error('the bus is closed'));
  }

  #assertOpen(operation: string): void {
    if (this.#closing !== undefined) throw new StoreError('memory bus', operation, new Error('it is closed'));
  }
}

function dropped(message: Message, error: unknown): void {
  warnOf(`message ${message.id} of topic ${message.topic} was given up and dropped`, error);
}
