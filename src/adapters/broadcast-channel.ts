import { BroadcastChannel } from 'node:worker_threads';
import { isPlainObject } from '../core/json.ts';
import { parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { CircuitNotice, CircuitStore } from '../ports/circuit-store.ts';
import { CircuitNotices, noticeFrom } from './internal/circuit-notices.ts';

/** Options of {@link broadcastCircuitStore}. */
export interface BroadcastCircuitStoreOptions {
  /** Name of the channel; siblings use the same. Default `holdfast:circuits`. */
  readonly channel?: string | undefined;
  /** Clock to forget by. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  channel: z.string().min(1).default('holdfast:circuits'),
  runtime: runtimeOption(),
});

/** What goes over the channel: a notice, or the question of one who has just come for those that are open. */
type Message = { readonly notice: CircuitNotice } | { readonly ask: true };

/**
 * Tells notices between worker threads of one process, without a server. Workers of `node:cluster` do not hear each
 * other this way; they have `clusterCircuitStore`. The channel is opened with the first watch or notice, and does not
 * keep the process alive.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function broadcastCircuitStore(options: BroadcastCircuitStoreOptions = {}): CircuitStore {
  const { channel, runtime } = parseOptions('broadcastCircuitStore', optionsSchema, options);
  return new BroadcastStore(channel, resolveRuntime(runtime));
}

class BroadcastStore implements CircuitStore {
  readonly name = 'broadcast-channel';
  readonly #channelName: string;
  readonly #runtime: Runtime;
  readonly #notices: CircuitNotices = new CircuitNotices();
  #channel: BroadcastChannel | undefined;
  #closed = false;

  constructor(channelName: string, runtime: Runtime) {
    this.#channelName = channelName;
    this.#runtime = runtime;
  }

  async publish(notice: CircuitNotice): Promise<void> {
    this.#notices.open(this.#runtime.clock.wallTime());
    this.#notices.keep(notice);
    this.#say({ notice });
    // A channel does not hear itself, but watchers of this thread are to hear each other.
    this.#notices.tell(notice);
  }

  watch(listener: (notice: CircuitNotice) => void): () => void {
    const off = this.#notices.watch(listener, this.#runtime.clock.wallTime());
    this.#say({ ask: true });
    return off;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#notices.silence();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #say(message: Message): void {
    if (this.#closed) return;
    this.#channel ??= this.#open();
    this.#channel.postMessage(message);
  }

  #open(): BroadcastChannel {
    const channel = new BroadcastChannel(this.#channelName);
    channel.onmessage = (event) => this.#hear((event as { readonly data: unknown }).data);
    channel.unref();
    return channel;
  }

  #hear(message: unknown): void {
    if (!isPlainObject(message)) return;
    if (message.ask === true) {
      for (const notice of this.#notices.open(this.#runtime.clock.wallTime())) this.#say({ notice });
      return;
    }
    const notice = noticeFrom(message.notice);
    // Everybody who knows an open notice answers a question, so most answers are known already.
    if (notice !== undefined && this.#notices.keep(notice)) this.#notices.tell(notice);
  }
}
