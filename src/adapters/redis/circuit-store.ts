import { exponential } from '../../core/backoff.ts';
import type { Timer } from '../../core/clock.ts';
import type { Duration } from '../../core/duration.ts';
import type { Unsubscribe } from '../../core/emitter.ts';
import { StoreError } from '../../core/errors.ts';
import { parseJson } from '../../core/json.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { CircuitNotice, CircuitStore } from '../../ports/circuit-store.ts';
import { CircuitNotices, noticeFrom, noticeKey } from '../internal/circuit-notices.ts';
import { commandOf } from './client.ts';
import {
  type SubscribingRedisClient,
  type Subscription,
  subscribe,
  subscribingClientOption,
} from './subscription.ts';

/** Options of {@link redisCircuitStore}. */
export interface RedisCircuitStoreOptions {
  /**
   * Your connected client, of `redis` (node-redis) or `ioredis`. It stays yours: the store never closes it. While
   * somebody watches, the store holds a second connection, made by `duplicate()`.
   */
  readonly client: SubscribingRedisClient;
  /** Name of the hash and of the channel. Default `holdfast:circuits`. */
  readonly key?: string | undefined;
  /** How often the hash is read while somebody watches, for what the channel has missed. At least 10 ms. Default 1 s. */
  readonly refresh?: Duration | undefined;
  /** Clock and randomness. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  client: subscribingClientOption(),
  key: z.string().min(1).default('holdfast:circuits'),
  refresh: durationOption(10).default(1_000),
  runtime: runtimeOption(),
});

type Command = ReturnType<typeof commandOf>;

/**
 * Tells notices between processes over Redis (4 or newer): open ones are kept in a hash, and all are published on a
 * channel. No call waits for it. While Redis is away nothing is told; what is still open then is told when it is back.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable. `publish` rejects with `StoreError`.
 */
export function redisCircuitStore(options: RedisCircuitStoreOptions): CircuitStore {
  const { client, key, refresh, runtime } = parseOptions('redisCircuitStore', optionsSchema, options);
  const subscribeTo = (hear: (message: string) => void): Subscription => subscribe(client, key, hear);
  return new RedisStore(key, refresh, commandOf(client), subscribeTo, resolveRuntime(runtime));
}

class RedisStore implements CircuitStore {
  readonly name = 'redis';
  readonly #key: string;
  readonly #refresh: number;
  readonly #command: Command;
  readonly #subscribe: (hear: (message: string) => void) => Subscription;
  readonly #runtime: Runtime;
  readonly #notices: CircuitNotices = new CircuitNotices();
  readonly #log: DebugLog = debugLog('redis-circuits');
  #session: Session | undefined;

  constructor(
    key: string,
    refresh: number,
    command: Command,
    subscribeTo: (hear: (message: string) => void) => Subscription,
    runtime: Runtime,
  ) {
    this.#key = key;
    this.#refresh = refresh;
    this.#command = command;
    this.#subscribe = subscribeTo;
    this.#runtime = runtime;
  }

  async publish(notice: CircuitNotice): Promise<void> {
    const field = noticeKey(notice);
    const text = JSON.stringify(notice);
    try {
      // Kept first: one who comes between the two would otherwise miss it.
      if (notice.state === 'open') await this.#command('HSET', this.#key, field, text);
      else await this.#command('HDEL', this.#key, field);
      await this.#command('PUBLISH', this.#key, text);
    } catch (error) {
      throw new StoreError('redis', `tell that circuit breaker ${notice.breaker} is ${notice.state}`, error);
    }
  }

  watch(listener: (notice: CircuitNotice) => void): Unsubscribe {
    const off = this.#notices.watch(listener, this.#runtime.clock.wallTime());
    this.#session ??= this.#begin();
    return () => {
      off();
      if (this.#notices.watchers === 0) this.#end();
    };
  }

  async close(): Promise<void> {
    this.#notices.silence();
    this.#end();
  }

  #begin(): Session {
    const session: Session = { ended: false, failures: 0, timer: undefined, subscription: undefined };
    void this.#look(session);
    return session;
  }

  #end(): void {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    session.ended = true;
    session.timer?.cancel();
    session.subscription?.close();
  }

  /** See that the subscription stands, read what is kept, and come again: so no notice is lost for long. */
  async #look(session: Session): Promise<void> {
    const { clock, random } = this.#runtime;
    try {
      this.#listen(session);
      await this.#read(session);
      session.failures = 0;
    } catch (error) {
      session.failures += 1;
      this.#log('cannot read the notices: %s', error);
    }
    if (session.ended) return;
    const wait = session.failures === 0 ? this.#refresh : this.#refresh + backoff(session.failures, random);
    session.timer = clock.schedule(wait, () => void this.#look(session));
  }

  #listen(session: Session): void {
    if (session.subscription !== undefined) return;
    const subscription = this.#subscribe((message) => {
      if (!session.ended) this.#hear(message);
    });
    session.subscription = subscription;
    subscription.ready.catch((error) => {
      this.#log('cannot subscribe: %s', error);
      session.subscription = undefined;
    });
  }

  async #read(session: Session): Promise<void> {
    const texts = (await this.#command('HVALS', this.#key)) as readonly unknown[];
    if (session.ended) return;
    const now = this.#runtime.clock.wallTime();
    const kept = texts.map((text) => this.#parse(String(text))).filter((notice) => notice !== undefined);
    for (const notice of kept) {
      if (notice.until > now && this.#notices.keep(notice)) this.#notices.tell(notice);
    }
    const over = kept.filter(({ until }) => until <= now).map(noticeKey);
    if (over.length > 0) await this.#command('HDEL', this.#key, ...over);
    this.#notices.open(now);
  }

  #hear(message: string): void {
    const notice = this.#parse(message);
    if (notice === undefined) return;
    this.#notices.keep(notice);
    this.#notices.tell(notice);
  }

  #parse(text: string): CircuitNotice | undefined {
    try {
      return noticeFrom(parseJson(text, 'a circuit notice'));
    } catch (error) {
      this.#log('%s', error);
      return undefined;
    }
  }
}

/** One time of watching, from the first watcher to the last. */
interface Session {
  ended: boolean;
  failures: number;
  timer: Timer | undefined;
  subscription: Subscription | undefined;
}

const backoff = exponential({ base: 500, max: 30_000 });
