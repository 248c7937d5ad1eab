/**
 * What an instance must be before anybody is sent to it. It holds for what a user registers and for whatever a backend
 * says, since a registry is written by many hands.
 */
import { isIP } from 'node:net';
import { messageOf } from '../core/holdfast-error.ts';
import { isPlainObject, isSafeKey } from '../core/json.ts';
import { nameOption, parseOptions, z } from '../core/options.ts';
import type { ServiceInstance } from '../ports/registry-backend.ts';

/** What a service tells of itself when it registers. */
export interface InstanceOptions {
  /** The service's name: up to 128 letters, digits, dots, dashes and underscores. */
  readonly service: string;
  /** Where it listens, 1 to 65535. */
  readonly port: number;
  /** Name or address at which others reach it. Default: the registry's `host`. */
  readonly host?: string | undefined;
  /** Unique among the service's instances; registering one that exists replaces it. Default: a random one. */
  readonly id?: string | undefined;
  /** Whether it speaks TLS. Default false. */
  readonly secure?: boolean | undefined;
  /** Free text, such as `1.4.2`. */
  readonly version?: string | undefined;
  /** Free text, such as `eu-west-1a`. */
  readonly zone?: string | undefined;
  /** Free text, up to 64. Default none. */
  readonly tags?: readonly string[] | undefined;
  /** Share of traffic relative to the others: > 0, up to 1,000,000. Default 1. */
  readonly weight?: number | undefined;
  /** Up to 64 keys with texts of up to 1,024 characters. Default none. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** RFC 1123 names, and underscores, which container networks use. */
const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/** Whether a text may stand in a URL as its host. A scoped IPv6 address may not. */
export function isHost(text: unknown): text is string {
  if (typeof text !== 'string' || text.includes('%')) return false;
  return isIP(text) !== 0 || hostName.test(text);
}

const freeText = z
  .string()
  .regex(/^\P{Cc}{0,256}$/u, { error: 'a text of up to 256 characters, none of control' });

const metadataAccepts =
  'an object of up to 64 texts of up to 1,024 characters, none named __proto__, constructor or prototype';

function isMetadata(value: unknown): value is Record<string, string> {
  if (!isPlainObject(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= 64 &&
    entries.every(
      ([key, text]) =>
        isSafeKey(key) && typeof text === 'string' && key.length <= 128 && text.length <= 1_024,
    )
  );
}

/** An option that takes a host. */
export function hostOption(): z.ZodCustom<string, string> {
  return z.custom<string>(isHost, { error: 'a host name or IP address, without port or brackets' });
}

const fields = {
  id: nameOption(),
  service: nameOption(),
  host: hostOption(),
  port: z.int().min(1).max(65_535),
  secure: z.boolean().default(false),
  status: z.enum(['up', 'draining']).default('up'),
  weight: z.number().positive().max(1_000_000).default(1),
  version: freeText.optional(),
  zone: freeText.optional(),
  tags: z.array(freeText).max(64).default([]),
  metadata: z.custom<Record<string, string>>(isMetadata, { error: metadataAccepts }).default({}),
};
const registeredSchema = z.strictObject(fields);
/** From a backend: fields that a newer version of the library may have added are ignored. */
const receivedSchema = z.object(fields);

/**
 * The instance that a user registers.
 *
 * @throws InvalidOptionsError naming each field.
 */
export function describeInstance(
  options: InstanceOptions,
  defaults: { readonly id: () => string; readonly host: string },
): ServiceInstance {
  const given = { ...options, id: options.id ?? defaults.id(), host: options.host ?? defaults.host };
  return toInstance(parseOptions('register', registeredSchema.omit({ status: true }), given));
}

/** The same instance with another status. */
export function withStatus(instance: ServiceInstance, status: ServiceInstance['status']): ServiceInstance {
  return Object.freeze({ ...instance, status });
}

type InstanceFields = Omit<z.output<typeof receivedSchema>, 'status'> & {
  readonly status?: ServiceInstance['status'];
};

function toInstance(parsed: InstanceFields): ServiceInstance {
  const { id, service, host, port, secure, status = 'up', weight, version, zone, tags, metadata } = parsed;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  // Sorted, so that equal instances have equal texts (see `sameInstances`).
  const sortedMetadata = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.freeze({
    id,
    service,
    host,
    port,
    secure,
    // Never taken from outside: it must agree with what was checked.
    url: `${secure ? 'https' : 'http'}://${authority}`,
    status,
    weight,
    ...(version === undefined ? {} : { version }),
    ...(zone === undefined ? {} : { zone }),
    tags: Object.freeze([...tags]),
    metadata: Object.freeze(Object.fromEntries(sortedMetadata)),
  });
}

/** An instance that a backend gave and that nobody may be sent to. */
export interface RejectedInstance {
  /** As far as it could be read. */
  readonly id: string;
  readonly reason: string;
}

/** A set from a backend, checked. */
export interface CheckedSet {
  /** Sorted by id, which is unique. */
  readonly instances: readonly ServiceInstance[];
  readonly rejected: readonly RejectedInstance[];
}

/**
 * Check what a backend gives as the set of a service: bad instances are set aside, the others stay.
 *
 * @throws TypeError when it is not a set at all.
 */
export function checkSet(service: string, set: unknown): CheckedSet {
  if (!Array.isArray(set)) throw new TypeError(`it gave ${typeof set} instead of a set of instances`);
  const instances = new Map<string, ServiceInstance>();
  const rejected: RejectedInstance[] = [];
  for (const raw of set as readonly unknown[]) {
    const instance = checkInstance(service, raw);
    if ('reason' in instance) rejected.push(instance);
    else if (instances.has(instance.id)) rejected.push({ id: instance.id, reason: 'its id is there twice' });
    else instances.set(instance.id, instance);
  }
  const sorted = [...instances.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { instances: Object.freeze(sorted), rejected };
}

function checkInstance(service: string, raw: unknown): ServiceInstance | RejectedInstance {
  try {
    const instance = toInstance(parseOptions('instance', receivedSchema, raw));
    if (instance.service === service) return instance;
    return { id: instance.id, reason: `it belongs to service ${instance.service}` };
  } catch (error) {
    return { id: idOf(raw), reason: messageOf(error) };
  }
}

function idOf(raw: unknown): string {
  const id = isPlainObject(raw) ? raw.id : undefined;
  return typeof id === 'string' ? JSON.stringify(id.slice(0, 128)) : '(none)';
}

/** Whether two sets are equal; both as {@link checkSet} gives them. */
export function sameInstances(a: readonly ServiceInstance[], b: readonly ServiceInstance[]): boolean {
  return a.length === b.length && a.every((instance, index) => sameInstance(instance, b[index]!));
}

function sameInstance(a: ServiceInstance, b: ServiceInstance): boolean {
  return a === b || (a.id === b.id && JSON.stringify(a) === JSON.stringify(b));
}
