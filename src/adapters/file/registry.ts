/**
 * A registry in a directory: several processes of one machine share it with nothing installed.
 *
 * `<directory>/<service>/<id>.json` is one registration. It is replaced whole (temporary file, then rename), so a
 * reader never sees half of one. A heartbeat sets its time of change, so readers need not read it again. Nobody needs to clean up after a process
 * that was killed: its file expires, and readers remove it some time later.
 */
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Duration } from '../../core/duration.ts';
import { Emitter, type Unsubscribe } from '../../core/emitter.ts';
import { durationOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type {
  RegisterOptions,
  RegistrationHandle,
  RegistryBackend,
  ServiceInstance,
} from '../../ports/registry-backend.ts';
import { Bell } from './bell.ts';
import { FileEntry } from './registry-entry.ts';
import { codeOf } from './registry-record.ts';
import { Shelf, type ShelfView, type SkippedFile, safeName } from './registry-shelf.ts';

/** Options of {@link fileRegistry}. */
export interface FileRegistryOptions {
  /** Where the registrations are kept; made when it is first needed, for this user only. */
  readonly directory: string;
  /**
   * How often a watched service is looked at when the system tells of no change, which it does not on every file
   * system. Default `'1s'`.
   */
  readonly pollInterval?: Duration | undefined;
  /** Clock, randomness, ids and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** What a {@link FileRegistry} tells, with its payloads. */
export interface FileRegistryEvents {
  /** A file in the registry is no registration: half-written, hostile, or not ours to read. The others are used. */
  readonly fileSkipped: SkippedFile;
}

/** A registry in a directory. */
export interface FileRegistry extends RegistryBackend {
  /** Subscribe to an event; returns the function that ends the subscription. */
  on<K extends keyof FileRegistryEvents>(
    event: K,
    listener: (payload: FileRegistryEvents[K]) => void,
  ): Unsubscribe;
}

const optionsSchema = z.strictObject({
  directory: z.string().min(1),
  pollInterval: durationOption(1).default(1_000),
  runtime: runtimeOption(),
});

/**
 * A registry in a directory that several processes of one machine share. Any process that may write there can claim to
 * be any service, so it is made readable and writable for its user only.
 *
 * @throws InvalidOptionsError
 */
export function fileRegistry(options: FileRegistryOptions): FileRegistry {
  const { directory, pollInterval, runtime } = parseOptions('fileRegistry', optionsSchema, options);
  return new DirectoryRegistry(resolve(directory), pollInterval, resolveRuntime(runtime));
}

class DirectoryRegistry implements FileRegistry {
  readonly name: string;
  readonly #root: string;
  readonly #pollInterval: number;
  readonly #runtime: Runtime;
  readonly #events: Emitter<FileRegistryEvents>;
  readonly #shelves: Map<string, Shelf> = new Map();
  #rootSeen = false;

  constructor(root: string, pollInterval: number, runtime: Runtime) {
    this.name = `file:${root}`;
    this.#root = root;
    this.#pollInterval = pollInterval;
    this.#runtime = runtime;
    this.#events = new Emitter('file-registry', this.name, runtime.telemetry);
  }

  on<K extends keyof FileRegistryEvents>(
    event: K,
    listener: (payload: FileRegistryEvents[K]) => void,
  ): Unsubscribe {
    return this.#events.on(event, listener);
  }

  async register(instance: ServiceInstance, { ttl, signal }: RegisterOptions): Promise<RegistrationHandle> {
    signal?.throwIfAborted();
    checkName(instance.id);
    const shelf = this.#shelf(instance.service);
    const entry = new FileEntry(shelf.directory, instance, ttl, this.#runtime);
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    this.#rootSeen = true;
    await mkdir(shelf.directory).catch((error) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
    if (!(await lstat(shelf.directory)).isDirectory())
      throw new Error(`${shelf.directory} is not a directory`);
    await entry.write();
    return entry;
  }

  /** What is remembered of a service's directory, shared by all who look at it through this object. */
  #shelf(service: string): Shelf {
    checkName(service);
    const known = this.#shelves.get(service);
    if (known !== undefined) return known;
    const onSkipped = (skipped: SkippedFile): void => this.#events.emit('fileSkipped', skipped);
    const shelf = new Shelf(this.#root, service, this.#runtime.clock, onSkipped);
    this.#shelves.set(service, shelf);
    return shelf;
  }

  async list(service: string, signal?: AbortSignal): Promise<readonly ServiceInstance[]> {
    signal?.throwIfAborted();
    return (await this.#look(this.#shelf(service))).instances;
  }

  async #look(shelf: Shelf, names?: ReadonlySet<string>): Promise<ShelfView> {
    const view = await shelf.look(names);
    if (view.there) {
      this.#rootSeen = true;
    } else {
      // Names that nobody registers must not pile up.
      this.#shelves.delete(shelf.service);
      await this.#names();
    }
    return view;
  }

  /** Names in the registry's directory. When it never was there, nobody has registered; when it is gone, who knows. */
  async #names(): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#root);
      this.#rootSeen = true;
      return names;
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && !this.#rootSeen) return [];
      throw error;
    }
  }

  async *watch(service: string, signal: AbortSignal): AsyncGenerator<readonly ServiceInstance[], void> {
    const shelf = this.#shelf(service);
    const { clock } = this.#runtime;
    const bell = new Bell(shelf.directory, clock);
    let seen: readonly ServiceInstance[] | undefined;
    let before: string | undefined;
    let changed: ReadonlySet<string> | undefined;
    let lookAt = 0;
    try {
      while (!signal.aborted) {
        const start = clock.now();
        // Before looking, so that no change falls in between. What changed before it listened, it does not name.
        const whole = (await bell.attach()) || changed === undefined || clock.now() >= lookAt;
        const { instances, nextExpiry } = await this.#look(shelf, whole ? undefined : changed);
        if (whole) lookAt = clock.now() + this.#pollInterval;
        const now = instances === seen ? before : JSON.stringify(instances);
        if (now !== before && !signal.aborted) yield instances;
        seen = instances;
        before = now;
        const end = clock.now();
        // Gathers changes for as long as telling of the last ones took, so that half of the time is left to others.
        changed = await bell.rung(Math.min(lookAt - end, nextExpiry), signal, end - start);
      }
    } finally {
      bell.detach();
    }
  }

  async services(signal?: AbortSignal): Promise<readonly string[]> {
    const names = (await this.#names()).filter((name) => safeName.test(name)).sort();
    const alive: string[] = [];
    for (const name of names) {
      signal?.throwIfAborted();
      // What else lies in the directory is not ours to judge.
      if (!(await isDirectory(join(this.#root, name)))) continue;
      const { instances } = await this.#look(this.#shelf(name));
      if (instances.length > 0) alive.push(name);
    }
    return alive;
  }

  /** Watches hold their own resources until their signals abort, so there is nothing else to release. */
  async close(): Promise<void> {
    this.#shelves.clear();
  }
}

function checkName(name: string): void {
  if (!safeName.test(name)) throw new Error(`${JSON.stringify(name)} cannot be the name of a file`);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
