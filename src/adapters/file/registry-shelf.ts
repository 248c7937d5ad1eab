/**
 * The directory of one service, as one reader sees it. Its invariant: whether a registration is alive is decided by how
 * long it has not changed on *our monotonic clock*, once we have seen it; the wall clock only tells how old a file is
 * that we see for the first time. So a jump of the wall clock neither empties a set nor keeps the dead alive.
 *
 * What was learnt of a file is kept at once, so that also a look that its caller gave up brings the next one forward.
 */
import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';
import { codeOf, decodeRecord, UnusableFileError, withSmallFile } from './registry-record.ts';
import {
  type FileMark,
  markOf,
  mayHaveChanged,
  renewed,
  type Sighting,
  sighted,
} from './registry-sighting.ts';

const log: DebugLog = debugLog('file');

/** The names of instances and services; none can be a path or a temporary file. */
export const safeName: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Temporary files older than this were left by a process that died while writing. */
const abandonedAfter = 60_000;

/** Files that are looked at together: a few, since file descriptors and Node's threads are not ours alone. */
const together = 4;

/** The live instances of a service. */
export interface ShelfView {
  /** Whether the service has a directory. */
  readonly there: boolean;
  /** The same array as before when nothing changed. */
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

/** A look that waits for the one under way. */
interface NextLook {
  names: ReadonlySet<string> | undefined;
  readonly view: Promise<ShelfView>;
}

const nothingThere: ShelfView = { there: false, instances: [], nextExpiry: Number.POSITIVE_INFINITY };

/** The directory of one service. */
export class Shelf {
  readonly directory: string;
  readonly service: string;
  readonly #clock: Clock;
  readonly #onSkipped: (skipped: SkippedFile) => void;
  readonly #sightings: Map<string, Sighting> = new Map();
  /** Why files are passed over. */
  readonly #skipped: Map<string, string> = new Map();
  /** When temporary files were first seen, on the monotonic clock. */
  #temporary: ReadonlyMap<string, number> = new Map();
  /** Names of the sightings, sorted; undefined when they have to be sorted again. */
  #order: readonly string[] | undefined;
  #instances: readonly ServiceInstance[] = [];
  #underWay: Promise<unknown> = Promise.resolve();
  #next: NextLook | undefined;

  constructor(root: string, service: string, clock: Clock, onSkipped: (skipped: SkippedFile) => void) {
    this.directory = join(root, service);
    this.service = service;
    this.#clock = clock;
    this.#onSkipped = onSkipped;
  }

  /**
   * What is alive now. Removes what is long dead. Looks run one after the other, and all that are asked for while one
   * runs become one.
   *
   * @param names the files that may have changed since the last look; undefined for all
   * @throws any error when that cannot be known.
   */
  look(names?: ReadonlySet<string>): Promise<ShelfView> {
    const waiting = this.#next;
    if (waiting !== undefined) {
      waiting.names = names && waiting.names && new Set([...waiting.names, ...names]);
      return waiting.view;
    }
    const view = this.#underWay.then(() => {
      this.#next = undefined;
      return this.#look(next.names);
    });
    const next: NextLook = { names, view };
    this.#next = next;
    this.#underWay = view.catch(() => {});
    return view;
  }

  async #look(changed: ReadonlySet<string> | undefined): Promise<ShelfView> {
    const names = changed === undefined ? await this.#list() : [...changed].filter(isRegistration);
    if (names === undefined) return nothingThere;
    let missing = false;
    const visits = names.values();
    const visitor = async (): Promise<void> => {
      for (const name of visits) missing = !(await this.#visit(name)) || missing;
    };
    await Promise.all(Array.from({ length: together }, visitor));
    // Files that go together with their directory were not taken out.
    if (missing && (await this.#list()) === undefined) return nothingThere;
    return this.#view();
  }

  #view(): ShelfView {
    this.#order ??= [...this.#sightings.keys()].sort();
    const now = this.#clock.now();
    const alive: ServiceInstance[] = [];
    let nextExpiry = Number.POSITIVE_INFINITY;
    for (const name of this.#order) {
      const { record, deadline } = this.#sightings.get(name)!;
      if (deadline <= now) continue;
      alive.push(record.instance);
      nextExpiry = Math.min(nextExpiry, deadline - now);
    }
    const before = this.#instances;
    const same = alive.length === before.length && alive.every((instance, at) => instance === before[at]);
    if (!same) this.#instances = alive;
    return { there: true, instances: this.#instances, nextExpiry };
  }

  /**
   * The names of registrations, and those seen before: a directory may be listed without a file that is being replaced
   * just then. Undefined when there is no directory.
   */
  async #list(): Promise<readonly string[] | undefined> {
    try {
      const stats = await lstat(this.directory);
      if (!stats.isDirectory()) throw new Error(`${this.directory} is not a directory`);
      const names = await readdir(this.directory);
      await this.#clearAway(names.filter((name) => name.endsWith('.tmp')));
      return [
        ...new Set([...names.filter(isRegistration), ...this.#sightings.keys(), ...this.#skipped.keys()]),
      ];
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Remove the temporary files that were left behind. */
  async #clearAway(names: readonly string[]): Promise<void> {
    const now = this.#clock.now();
    const before = this.#temporary;
    this.#temporary = new Map(names.map((name) => [name, before.get(name) ?? now]));
    for (const [name, since] of this.#temporary) if (now - since > abandonedAfter) await this.#remove(name);
  }

  /** Look at one file; resolves to whether it is there. */
  async #visit(name: string): Promise<boolean> {
    try {
      const sighting = await this.#see(name);
      this.#skipped.delete(name);
      if (sighting === undefined) {
        this.#forget(name);
        return false;
      }
      if (!this.#sightings.has(name)) this.#order = undefined;
      this.#sightings.set(name, sighting);
      await this.#removeIfDead(name, sighting);
    } catch (error) {
      if (!(error instanceof UnusableFileError)) throw error;
      this.#forget(name);
      this.#skip(name, error.message);
    }
    return true;
  }

  /** What is to be remembered of a file; undefined when it is gone. */
  async #see(name: string): Promise<Sighting | undefined> {
    const before = this.#sightings.get(name);
    const mark = before === undefined ? undefined : await this.#mark(name);
    if (before !== undefined && mark !== undefined && !mayHaveChanged(before, mark)) {
      return renewed(before, mark, this.#clock);
    }
    const id = name.slice(0, -'.json'.length);
    if (!safeName.test(id)) throw new UnusableFileError('its name is not the id of an instance');
    return withSmallFile(join(this.directory, name), ({ text, stats }) =>
      sighted(before, markOf(stats), decodeRecord(text, this.service, id), this.#clock),
    );
  }

  /** Undefined when it cannot be had, for a reason that reading the file will tell. */
  async #mark(name: string): Promise<FileMark | undefined> {
    return lstat(join(this.directory, name), { bigint: true }).then(markOf, () => undefined);
  }

  #forget(name: string): void {
    if (this.#sightings.delete(name)) this.#order = undefined;
  }

  #skip(name: string, reason: string): void {
    if (this.#skipped.get(name) === reason) return;
    this.#skipped.set(name, reason);
    const file = join(this.directory, name);
    log('skipped %s: %s', file, reason);
    this.#onSkipped({ file, reason });
  }

  /** A registration is dead for good when nothing renewed it for a whole `ttl` past its end, all under our eyes. */
  async #removeIfDead(name: string, { since, deadline, record, mark }: Sighting): Promise<void> {
    if (this.#clock.now() <= Math.max(since, deadline) + record.ttl) return;
    // Its owner may have woken up this very moment. If it does so later, it finds itself lost and registers again.
    const newest = await this.#mark(name);
    if (newest?.identity === mark.identity && newest.modified === mark.modified) await this.#remove(name);
  }

  async #remove(name: string): Promise<void> {
    await unlink(join(this.directory, name)).catch((error) => {
      log('could not remove %s: %s', join(this.directory, name), messageOf(error));
    });
  }
}

function isRegistration(name: string): boolean {
  return name.endsWith('.json');
}
