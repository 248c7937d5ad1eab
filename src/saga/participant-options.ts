import { InvalidOptionsError } from '../core/errors.ts';
import {
  functionOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Delivery, MessageBus } from '../ports/message-bus.ts';
import type { EventCatalog } from './event-catalog.ts';
import { type Inbox, memoryInbox } from './inbox.ts';

/** Any handler; typed from outside by the catalog. */
type AnyHandler = (event: object, context: object) => unknown;

/** Checked options. */
export interface ParticipantSettings {
  readonly bus: MessageBus;
  readonly catalog: EventCatalog;
  readonly name: string;
  readonly on: Readonly<Record<string, AnyHandler>>;
  readonly inbox: Inbox;
  readonly maxAttempts: number;
  readonly onDeadLetter?: ((message: Delivery, error: unknown) => void | Promise<void>) | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema: z.ZodType<ParticipantSettings> = z.strictObject({
  bus: methodsOption<MessageBus>('a message bus, such as memoryBus()', 'publish', 'subscribe'),
  catalog: methodsOption<EventCatalog>('an event catalog, made by eventCatalog({ … })', 'encode', 'decode'),
  name: nameOption(),
  on: z.record(z.string(), functionOption<AnyHandler>()).default({}),
  inbox: methodsOption<Inbox>('an inbox, such as memoryInbox()', 'has', 'add').default(() => memoryInbox()),
  maxAttempts: z.int().min(1).default(10),
  onDeadLetter: functionOption<NonNullable<ParticipantSettings['onDeadLetter']>>().optional(),
  runtime: runtimeOption(),
});

/** @throws InvalidOptionsError naming the field. */
export function parseParticipantOptions(options: unknown): ParticipantSettings {
  const settings = parseOptions('participant', optionsSchema, options);
  const { events } = settings.catalog;
  const unknown = Object.keys(settings.on).filter((event) => !events.includes(event));
  if (unknown.length > 0) {
    const accepts = events.join(' | ');
    const issues = unknown.map((event) => ({ field: `on.${event}`, received: 'an unknown event', accepts }));
    throw new InvalidOptionsError('participant', issues);
  }
  return settings;
}
