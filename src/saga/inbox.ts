import { parseOptions, z } from '../core/options.ts';

/**
 * Remembers which messages a participant has handled. It must remember them for longer than the bus may redeliver them,
 * dead letters that are replayed included.
 */
export interface Inbox {
  /** Whether this consumer has handled the message. */
  has(consumer: string, messageId: string): boolean | Promise<boolean>;
  /** It has now. */
  add(consumer: string, messageId: string): void | Promise<void>;
}

/** Options of {@link memoryInbox}. */
export interface MemoryInboxOptions {
  /** How many messages to remember; beyond it, the oldest are forgotten. Default 100,000. */
  readonly capacity?: number | undefined;
}

const optionsSchema = z.strictObject({ capacity: z.int().min(1).default(100_000) });

/**
 * An inbox in this process. It forgets everything when the process ends, so a message that is redelivered afterwards is
 * handled again: keep handlers idempotent, or give an inbox that writes in the handler's own transaction.
 *
 * @throws InvalidOptionsError when the capacity is not a whole number of at least 1.
 */
export function memoryInbox(options: MemoryInboxOptions = {}): Inbox {
  const { capacity } = parseOptions('memoryInbox', optionsSchema, options);
  const handled = new Set<string>();
  const nameOf = (consumer: string, messageId: string): string => JSON.stringify([consumer, messageId]);
  return {
    has: (consumer, messageId) => handled.has(nameOf(consumer, messageId)),
    add: (consumer, messageId) => {
      handled.add(nameOf(consumer, messageId));
      if (handled.size <= capacity) return;
      const oldest = handled.values().next();
      if (!oldest.done) handled.delete(oldest.value);
    },
  };
}
