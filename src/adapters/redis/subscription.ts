import { debugLog } from '../../core/log.ts';
import { z } from '../../core/options.ts';
import type { IoRedisClient, NodeRedisClient } from './client.ts';

/** A second connection of `redis` (node-redis), made by `duplicate()`, as far as it is needed. */
export interface NodeRedisSubscriber {
  /** Hear of errors. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Connect. */
  connect(): Promise<unknown>;
  /** Hear what is published on a channel. */
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  /** Of node-redis 5 and newer. */
  destroy?(): unknown;
  /** Of node-redis 4. */
  disconnect?(): unknown;
}

/** A second connection of `ioredis`, made by `duplicate()`, as far as it is needed. */
export interface IoRedisSubscriber {
  /** Hear of errors, of being ready, and of messages. */
  on(event: string, listener: (...values: never[]) => void): unknown;
  /** Ask for what is published on a channel. */
  subscribe(channel: string): Promise<unknown>;
  /** Close the connection. */
  disconnect(): unknown;
}

/** A client of Redis that can also be duplicated, since a connection that subscribes can do nothing else. */
export type SubscribingRedisClient =
  | (NodeRedisClient & {
      /** A client of the same settings, for a connection of its own. */
      readonly duplicate: () => NodeRedisSubscriber;
    })
  | (IoRedisClient & {
      /** A client of the same settings but for the changes, for a connection of its own. */
      readonly duplicate: (changes?: { enableOfflineQueue: boolean }) => IoRedisSubscriber;
    });

const log = debugLog('redis');

const has = (value: object, method: string): boolean =>
  typeof (value as Record<string, unknown>)[method] === 'function';

/** The option `client` of what subscribes. */
export function subscribingClientOption(): z.ZodCustom<SubscribingRedisClient, SubscribingRedisClient> {
  return z.custom<SubscribingRedisClient>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      has(value, 'duplicate') &&
      (has(value, 'call') || has(value, 'sendCommand')),
    { error: 'a client of redis (with sendCommand()) or of ioredis (with call()) that has duplicate()' },
  );
}

/** A subscription, which its own connection keeps up: both clients reconnect and subscribe again by themselves. */
export interface Subscription {
  /** Resolves when it stands; rejects when the client has given up, after which it is closed. */
  readonly ready: Promise<void>;
  close(): void;
}

/** Hear the messages of a channel, over a connection of its own. */
export function subscribe(
  client: SubscribingRedisClient,
  channel: string,
  hear: (message: string) => void,
): Subscription {
  // ioredis has a sendCommand() as well.
  const opened = 'call' in client ? overIoRedis(client, channel, hear) : overNodeRedis(client, channel, hear);
  const ready = opened.ready.then(
    () => {},
    (error) => {
      opened.close();
      throw error;
    },
  );
  return { ready, close: opened.close };
}

interface Opened {
  readonly ready: Promise<unknown>;
  readonly close: () => void;
}

/** The client goes on trying by itself; without a listener its error would end the process. */
const onError = (error: Error): void => log('subscriber: %s', error.message);

function overIoRedis(
  client: Extract<SubscribingRedisClient, IoRedisClient>,
  channel: string,
  hear: (message: string) => void,
): Opened {
  // It begins before the connection stands, so that the subscription must be allowed to wait for it.
  const subscriber = client.duplicate({ enableOfflineQueue: true });
  subscriber.on('error', onError);
  subscriber.on('message', (_channel: string, message: string) => hear(message));
  return { ready: subscriber.subscribe(channel), close: () => void subscriber.disconnect() };
}

function overNodeRedis(
  client: Extract<SubscribingRedisClient, NodeRedisClient>,
  channel: string,
  hear: (message: string) => void,
): Opened {
  const subscriber = client.duplicate();
  subscriber.on('error', onError);
  const ready = subscriber.connect().then(() => subscriber.subscribe(channel, hear));
  return { ready, close: () => void closeQuietly(subscriber) };
}

async function closeQuietly(subscriber: NodeRedisSubscriber): Promise<void> {
  try {
    await (subscriber.destroy?.() ?? subscriber.disconnect?.());
  } catch (error) {
    // It was not connected, or is no more.
    log('closing the subscriber: %s', error);
  }
}
