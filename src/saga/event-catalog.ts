import { InvalidOptionsError, InvalidPayloadError } from '../core/errors.ts';
import { type JsonValue, parseJson, stringifyJson } from '../core/json.ts';
import { isStandardSchema, issueSummary, type StandardSchema, validate } from '../core/schema.ts';

/** A schema for each event, by its name. */
export type EventSchemas = { readonly [event: string]: StandardSchema };

/** What a publisher gives: what the event's schema takes. */
export type EventInput<Schema> = Schema extends StandardSchema<infer Input, infer _Output> ? Input : never;

/** What a handler gets: what the event's schema makes of it. */
export type EventOutput<Schema> = Schema extends StandardSchema<infer _Input, infer Output> ? Output : never;

/** All events that services may say to each other. */
export interface EventCatalog<Schemas extends EventSchemas = EventSchemas> {
  readonly schemas: Schemas;
  /** Names of all events. */
  readonly events: readonly (keyof Schemas & string)[];
  /**
   * The payload as it travels: as it was given, once the schema accepts it.
   *
   * @throws InvalidPayloadError when the event is unknown, or the payload is not what its schema takes.
   */
  encode(event: string, payload: unknown): Promise<JsonValue>;
  /**
   * What the schema makes of a payload that arrived.
   *
   * @throws InvalidPayloadError as `encode` does.
   */
  decode(event: string, payload: JsonValue): Promise<unknown>;
}

const eventName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Name the events and what they carry. Both sides check against it: the publisher before it sends, and the participant
 * on receipt, since a publisher may be older or newer.
 *
 * @example eventCatalog({ 'order.placed': z.object({ orderId: z.string() }) })
 *
 * @throws InvalidOptionsError when a name or a schema is none.
 */
export function eventCatalog<Schemas extends EventSchemas>(schemas: Schemas): EventCatalog<Schemas> {
  const known = new Map(Object.entries(schemas ?? {}));
  for (const [event, schema] of known) {
    if (eventName.test(event) && isStandardSchema(schema)) continue;
    const accepts = 'a name of letters, digits, dots, dashes and underscores, with a Standard Schema';
    throw new InvalidOptionsError('eventCatalog', [{ field: event, received: typeof schema, accepts }]);
  }
  const check = async (event: string, payload: unknown): Promise<unknown> => {
    const schema = known.get(event);
    if (schema === undefined) throw new InvalidPayloadError(`event ${event}`, 'is not in the catalog');
    const result = await validate(schema, payload);
    if (result.issues !== undefined) {
      throw new InvalidPayloadError(`event ${event}`, issueSummary(result.issues));
    }
    return result.value;
  };
  return {
    schemas: { ...schemas },
    events: [...known.keys()],
    decode: check,
    encode: async (event, payload) => {
      await check(event, payload);
      return parseJson(stringifyJson(payload, `event ${event}`), `event ${event}`);
    },
  };
}
