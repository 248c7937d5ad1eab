/**
 * What one reader remembers of one registration's file, and how it judges it. Its invariant: a registration is alive for
 * as long on *our monotonic clock* as it had left when we saw it written or renewed; the wall clock only tells how old it
 * was at that moment.
 *
 * A heartbeat sets the file's time of change and leaves its content, so a reader needs to read a file once.
 */
import type { BigIntStats } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';
import type { RegistryRecord } from './registry-record.ts';

/** The coarsest times that a file system keeps, in milliseconds: FAT's. */
const coarsestTime = 2_000;

/** What the system says of a file without opening it. */
export interface FileMark {
  /** Two files with one path differ in it, unless one follows the other within {@link coarsestTime}. */
  readonly identity: string;
  /** When it was last changed, in nanoseconds. */
  readonly modified: bigint;
  /** Whether somebody set that time, as a heartbeat does: who writes into the file cannot. */
  readonly declared: boolean;
}

/** What was seen of a registration's file. */
export interface Sighting {
  readonly mark: FileMark;
  readonly record: RegistryRecord;
  /** Monotonic time at which the file was first seen. */
  readonly firstAt: number;
  /** Monotonic time at which it was last read. */
  readonly readAt: number;
  /** Wall time at which it expires, by what its owner says. */
  readonly expiresAt: number;
  /** Monotonic time since which it was not renewed. */
  readonly since: number;
  /** Monotonic time at which it expires. */
  readonly deadline: number;
}

/** See {@link FileMark}. */
export function markOf({ dev, ino, size, birthtimeNs, mtimeNs, ctimeNs }: BigIntStats): FileMark {
  // Where files have no time of birth, the number alone does not tell them apart.
  const birth = birthtimeNs === 0n ? mtimeNs : birthtimeNs;
  return { identity: `${dev}:${ino}:${size}:${birth}`, modified: mtimeNs, declared: mtimeNs !== ctimeNs };
}

/** Whether the file's content may be another than the one that is remembered. */
export function mayHaveChanged({ mark, firstAt, readAt }: Sighting, now: FileMark): boolean {
  if (mark.identity !== now.identity) return true;
  // Another may have taken its place within one tick of the file system's clock, and look the same.
  if (readAt - firstAt <= coarsestTime) return true;
  return mark.modified !== now.modified && !now.declared;
}

/** What is to be remembered of a file that has just been read. */
export function sighted(
  before: Sighting | undefined,
  mark: FileMark,
  record: RegistryRecord,
  clock: Clock,
): Sighting {
  const readAt = clock.now();
  const firstAt = before?.mark.identity === mark.identity ? before.firstAt : readAt;
  const instance = before === undefined ? record.instance : newestOf(before.record.instance, record.instance);
  return judged(before, { mark, record: { ...record, instance }, firstAt, readAt }, clock);
}

/** What is to be remembered of a file whose content is known. */
export function renewed(before: Sighting, mark: FileMark, clock: Clock): Sighting {
  return before.mark.modified === mark.modified ? before : judged(before, { ...before, mark }, clock);
}

/** The older of two objects that say the same: then equal sets hold the same objects. */
function newestOf(before: ServiceInstance, now: ServiceInstance): ServiceInstance {
  return JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

type Seen = Pick<Sighting, 'mark' | 'record' | 'firstAt' | 'readAt'>;

function judged(before: Sighting | undefined, seen: Seen, clock: Clock): Sighting {
  const expiresAt = expiryOf(before, seen);
  if (before !== undefined && before.record.token === seen.record.token && before.expiresAt === expiresAt) {
    return { ...seen, expiresAt, since: before.since, deadline: before.deadline };
  }
  const now = clock.now();
  const left = Math.min(seen.record.ttl, expiresAt - clock.wallTime());
  return { ...seen, expiresAt, since: now, deadline: now + left };
}

/** When it expires: as its record says, or one `ttl` after its newest heartbeat. A heartbeat takes nothing back. */
function expiryOf(before: Sighting | undefined, { mark, record }: Seen): number {
  const heartbeat = mark.declared ? Math.round(Number(mark.modified) / 1e6) + record.ttl : 0;
  const sameContent = before?.mark.identity === mark.identity && before.record.expiresAt === record.expiresAt;
  return Math.max(record.expiresAt, heartbeat, sameContent ? before.expiresAt : 0);
}
