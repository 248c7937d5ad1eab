/**
 * The directory of one service, as one reader sees it. Its invariant: whether a registration is alive is decided by how
 * long it has not changed on *our monotonic clock*, once we have seen it; the wall clock only tells how old a file is
 * that we see for the first time. So a jump of the wall clock neither empties a set nor keeps the dead alive.
 */
import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';
import {
  codeOf,
  decodeRecord,
  type RegistryRecord,
  readSmallFile,
  UnusableFileError,
} from './registry-record.ts';

const log: DebugLog = debugLog('file');

/** The names of instances and services; none can be a path or a temporary file. */
export const safeName: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Temporary files older than this were left by a process that died while writing. */
const abandonedAfter = 60_000;

/** What was seen of a file, on the monotonic clock. */
interface Sighting {
  /** Changes whenever the file is renewed. */
  readonly stamp: string;
  /** Since when it has not changed. */
  readonly since: number;
  /** When it expires. `Infinity` for what is no registration. */
  readonly deadline: number;
}

/** The live instances of a service. */
export interface ShelfView {
  /** Whether the service has a directory. */
  readonly there: boolean;
  readonly instances: readonly ServiceInstance[];
  /** Milliseconds until the next of them expires unless renewed. */
  readonly nextExpiry: number;
}

/** A file that was passed over. */
export interface SkippedFile {
  /** Its path. */
  readonly file: string;
  /** Why it is not used. */
  readonly reason: string;
}

/** The directory of one service. */
export class Shelf {
  readonly directory: string;
  readonly service: string;
  readonly #clock: Clock;
  readonly #onSkipped: (skipped: SkippedFile) => void;
  #sightings: ReadonlyMap<string, Sighting> = new Map();

  constructor(root: string, service: string, clock: Clock, onSkipped: (skipped: SkippedFile) => void) {
    this.directory = join(root, service);
    this.service = service;
    this.#clock = clock;
    this.#onSkipped = onSkipped;
  }

  /**
   * What is alive now. Removes what is long dead.
   *
   * @throws any error when that cannot be known.
   */
  async look(): Promise<ShelfView> {
    const names = await this.#names();
    if (names === undefined) return { there: false, instances: [], nextExpiry: Number.POSITIVE_INFINITY };
    const sightings = new Map<string, Sighting>();
    const instances: ServiceInstance[] = [];
    let nextExpiry = Number.POSITIVE_INFINITY;
    // One after the other: a registry is small, and file descriptors are not ours alone.
    for (const name of this.#withKnown(names)) {
      const seen = name.endsWith('.tmp')
        ? { sighting: this.#sighting(name, 'temporary') }
        : await this.#see(name);
      if (seen === undefined) continue;
      sightings.set(name, seen.sighting);
      const left = seen.sighting.deadline - this.#clock.now();
      if (seen.record !== undefined && left > 0) {
        instances.push(seen.record.instance);
        nextExpiry = Math.min(nextExpiry, left);
      }
      await this.#removeIfDead(name, seen.sighting, seen.record);
    }
    this.#sightings = sightings;
    return { there: true, instances, nextExpiry };
  }

  /**
   * The names, and those of registrations seen before: a directory may be listed without a file that is being replaced
   * just then. Sorted, so that equal sets come out equal.
   */
  #withKnown(names: readonly string[]): readonly string[] {
    const known = [...this.#sightings.keys()].filter((name) => name.endsWith('.json'));
    return [...new Set([...names, ...known])].sort();
  }

  async #names(): Promise<readonly string[] | undefined> {
    try {
      const stats = await lstat(this.directory);
      if (!stats.isDirectory()) throw new Error(`${this.directory} is not a directory`);
      const names = await readdir(this.directory);
      return names.filter((name) => name.endsWith('.json') || name.endsWith('.tmp'));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #see(name: string): Promise<{ sighting: Sighting; record?: RegistryRecord } | undefined> {
    try {
      const record = await this.read(name);
      return record === undefined
        ? undefined
        : { record, sighting: this.#sighting(name, stampOf(record), record) };
    } catch (error) {
      if (!(error instanceof UnusableFileError)) throw error;
      const reason = error.message;
      if (this.#sightings.get(name)?.stamp !== reason) this.#skip(name, reason);
      return { sighting: this.#sighting(name, reason) };
    }
  }

  #skip(name: string, reason: string): void {
    const file = join(this.directory, name);
    log('skipped %s: %s', file, reason);
    this.#onSkipped({ file, reason });
  }

  /** The record in a file; undefined when it is gone. Throws as {@link readSmallFile} and {@link decodeRecord} do. */
  async read(name: string): Promise<RegistryRecord | undefined> {
    const id = name.slice(0, -'.json'.length);
    if (!safeName.test(id)) throw new UnusableFileError('its name is not the id of an instance');
    const text = await readSmallFile(join(this.directory, name));
    return text === undefined ? undefined : decodeRecord(text, this.service, id);
  }

  #sighting(name: string, stamp: string, record?: RegistryRecord): Sighting {
    const before = this.#sightings.get(name);
    if (before?.stamp === stamp) return before;
    const now = this.#clock.now();
    if (record === undefined) return { stamp, since: now, deadline: Number.POSITIVE_INFINITY };
    const left = Math.min(record.ttl, record.expiresAt - this.#clock.wallTime());
    return { stamp, since: now, deadline: now + left };
  }

  /** A registration is dead for good when nothing renewed it for a whole `ttl` past its end, all under our eyes. */
  async #removeIfDead(
    name: string,
    { since, deadline, stamp }: Sighting,
    record?: RegistryRecord,
  ): Promise<void> {
    const now = this.#clock.now();
    if (name.endsWith('.tmp')) {
      if (now - since > abandonedAfter) await this.#remove(name);
    } else if (record !== undefined && now > Math.max(since, deadline) + record.ttl) {
      // Its owner may have woken up this very moment. If it does so later, it finds itself lost and registers again.
      const newest = await this.read(name).catch(() => undefined);
      if (newest !== undefined && stampOf(newest) === stamp) await this.#remove(name);
    }
  }

  async #remove(name: string): Promise<void> {
    await unlink(join(this.directory, name)).catch((error) => {
      log('could not remove %s: %s', join(this.directory, name), messageOf(error));
    });
  }
}

function stampOf(record: RegistryRecord): string {
  return `${record.token} ${record.expiresAt}`;
}
