import { abortController } from '../../core/abort-controller.ts';
import type { Backoff } from '../../core/backoff.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import type { Unsubscribe } from '../../core/emitter.ts';
import type { InFlight } from '../../core/lifecycle.ts';
import { warnOf } from '../../core/log.ts';
import type { Delivery, Message, MessageHandler } from '../../ports/message-bus.ts';

/** One subscription within a group. */
export interface Subscriber {
  readonly topics: ReadonlySet<string>;
  readonly handler: MessageHandler;
  readonly maxAttempts: number;
  readonly onDeadLetter: (message: Delivery, error: unknown) => void | Promise<void>;
}

/** A message that waits for a group. */
export interface Waiting {
  readonly topic: string;
  readonly key: string;
  /** A copy of its own for each delivery. */
  readonly fresh: () => Message;
  /** How often it was delivered. */
  attempt: number;
}

/** What the groups of one bus share. */
export interface BusGroupSurroundings {
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly concurrency: number;
  readonly inFlight: InFlight;
  /** What handlers get; aborts when the bus waits for them no longer. */
  readonly signal: AbortSignal;
}

/**
 * The messages of one consumer group, a queue for each key. A queue is in `#ready` when its first message may be
 * delivered, and in nobody's hands but its delivery's until that one is settled; that keeps the order.
 */
export class BusGroup {
  readonly name: string;
  readonly #shared: BusGroupSurroundings;
  readonly #queues: Map<string, Waiting[]> = new Map();
  readonly #ready: Set<string> = new Set();
  /** Everything that was ever subscribed to. */
  readonly #topics: Set<string> = new Set();
  readonly #closed: AbortController = abortController();
  #subscribers: readonly Subscriber[] = [];
  #turn = 0;
  #active = 0;
  #size = 0;

  constructor(name: string, shared: BusGroupSurroundings) {
    this.name = name;
    this.#shared = shared;
  }

  /** How many messages wait or are being handled. */
  get size(): number {
    return this.#size;
  }

  /** Whether messages of this topic are for this group. */
  wants(topic: string): boolean {
    return this.#topics.has(topic);
  }

  subscribe(subscriber: Subscriber): Unsubscribe {
    this.#subscribers = [...this.#subscribers, subscriber];
    for (const topic of subscriber.topics) this.#topics.add(topic);
    // What waited for a topic that nobody listened to may go on now.
    for (const key of this.#queues.keys()) if (!this.#held.has(key)) this.#ready.add(key);
    this.#pump();
    return () => {
      this.#subscribers = this.#subscribers.filter((s) => s !== subscriber);
    };
  }

  /** Keys whose first message is being delivered or waits for its redelivery. */
  readonly #held: Set<string> = new Set();

  add(message: Waiting): void {
    this.#size += 1;
    const queue = this.#queues.get(message.key);
    if (queue === undefined) {
      this.#queues.set(message.key, [message]);
      this.#ready.add(message.key);
    } else {
      queue.push(message);
    }
    this.#pump();
  }

  /** Deliver nothing more. */
  close(): void {
    this.#closed.abort();
    this.#subscribers = [];
    this.#ready.clear();
  }

  #pump(): void {
    for (const key of this.#ready) {
      if (this.#active >= this.#shared.concurrency) return;
      this.#ready.delete(key);
      const message = this.#queues.get(key)![0]!;
      const subscriber = this.#choose(message.topic);
      if (subscriber === undefined) continue;
      this.#active += 1;
      this.#held.add(key);
      void this.#shared.inFlight.track(this.#deliver(message, subscriber));
    }
  }

  /** Subscribers take turns. */
  #choose(topic: string): Subscriber | undefined {
    const able = this.#subscribers.filter((s) => s.topics.has(topic));
    this.#turn += 1;
    return able[this.#turn % able.length];
  }

  async #deliver(message: Waiting, subscriber: Subscriber): Promise<void> {
    message.attempt += 1;
    const delivery: Delivery = { ...message.fresh(), attempt: message.attempt };
    let settled = true;
    try {
      // So that a publisher never runs a handler in its own call.
      await undefined;
      await subscriber.handler(delivery, this.#shared.signal);
    } catch (error) {
      settled = message.attempt >= subscriber.maxAttempts;
      if (settled) await this.#giveUp(message, subscriber, error);
    }
    this.#active -= 1;
    if (settled) this.#finish(message.key);
    else void this.#again(message);
    this.#pump();
  }

  async #giveUp(message: Waiting, subscriber: Subscriber, error: unknown): Promise<void> {
    try {
      await subscriber.onDeadLetter({ ...message.fresh(), attempt: message.attempt }, error);
    } catch (problem) {
      warnOf(`the dead-letter handler of group ${this.name} threw; the message is dropped`, problem);
    }
  }

  #finish(key: string): void {
    this.#size -= 1;
    this.#held.delete(key);
    const queue = this.#queues.get(key)!;
    queue.shift();
    if (queue.length === 0) this.#queues.delete(key);
    else if (!this.#closed.signal.aborted) this.#ready.add(key);
  }

  /** The others of its key wait meanwhile: that is what order means. */
  async #again(message: Waiting): Promise<void> {
    const { clock, random, backoff } = this.#shared;
    try {
      await sleep(clock, backoff(message.attempt, random), this.#closed.signal);
    } catch {
      return;
    }
    this.#held.delete(message.key);
    this.#ready.add(message.key);
    this.#pump();
  }
}
