import type { ServiceInstance } from '../ports/registry-backend.ts';

/** What is known of one service at one moment. Frozen; a newer one replaces it. */
export interface Snapshot {
  readonly service: string;
  /** Every instance, draining ones too, sorted by id: the last known good set. */
  readonly instances: readonly ServiceInstance[];
  /** Where `instances` came from: `none` while the registry has never answered, and then it is empty. */
  readonly source: 'none' | 'backend';
  /** Wall time at which the registry last answered, in milliseconds; undefined while it never has. */
  readonly lastContact: number | undefined;
  /** Whether the registry cannot be heard now, so that `instances` may be out of date. */
  readonly stale: boolean;
  /** Why it is stale. */
  readonly error: unknown;
}

/** Before the first answer. */
export function emptySnapshot(service: string): Snapshot {
  return Object.freeze({
    service,
    instances: Object.freeze([]),
    source: 'none',
    lastContact: undefined,
    stale: false,
    error: undefined,
  });
}

/** After an answer. */
export function confirmed(
  before: Snapshot,
  instances: readonly ServiceInstance[],
  wallTime: number,
): Snapshot {
  return Object.freeze({
    service: before.service,
    instances,
    source: 'backend',
    lastContact: wallTime,
    stale: false,
    error: undefined,
  });
}

/** After a failure: what was known stays known. */
export function doubted(before: Snapshot, error: unknown): Snapshot {
  return Object.freeze({ ...before, stale: true, error });
}

/** Ids that two sets differ in. */
export interface SetDifference {
  /** Ids of instances that are new. */
  readonly added: readonly string[];
  /** Ids of instances that are gone. */
  readonly removed: readonly string[];
}

/** What changed from one set to the next. */
export function difference(
  before: readonly ServiceInstance[],
  after: readonly ServiceInstance[],
): SetDifference {
  const idsBefore = new Set(before.map((instance) => instance.id));
  const idsAfter = new Set(after.map((instance) => instance.id));
  return {
    added: [...idsAfter].filter((id) => !idsBefore.has(id)),
    removed: [...idsBefore].filter((id) => !idsAfter.has(id)),
  };
}
