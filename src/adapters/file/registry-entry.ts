/** One registration of ours, as its owner writes it. */
import { rename, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../core/holdfast-error.ts';
import { type DebugLog, debugLog } from '../../core/log.ts';
import type { Runtime } from '../../core/runtime.ts';
import type { RegistrationHandle, ServiceInstance } from '../../ports/registry-backend.ts';
import {
  codeOf,
  decodeRecord,
  encodeRecord,
  type OpenFile,
  UnusableFileError,
  withSmallFile,
} from './registry-record.ts';

const log: DebugLog = debugLog('file');

/** One registration of ours. Its operations run one after the other. */
export class FileEntry implements RegistrationHandle {
  readonly #directory: string;
  readonly #file: string;
  readonly #ttl: number;
  readonly #runtime: Runtime;
  readonly #token: string;
  #instance: ServiceInstance;
  /** Wall time at which it expires. */
  #expiresAt = 0;
  /** As `#expiresAt`, on the monotonic clock: what decides whether it is we who let it expire. */
  #deadline = 0;
  /** What we wrote last. */
  #text = '';
  #queue: Promise<unknown> = Promise.resolve();

  constructor(directory: string, instance: ServiceInstance, ttl: number, runtime: Runtime) {
    this.#directory = directory;
    this.#file = join(directory, `${instance.id}.json`);
    this.#instance = instance;
    this.#ttl = ttl;
    this.#runtime = runtime;
    this.#token = runtime.id();
  }

  /** Write it for the first time. */
  write(): Promise<void> {
    return this.#extend((expiresAt) => this.#replace(this.#instance, expiresAt));
  }

  renew(signal?: AbortSignal): Promise<'renewed' | 'lost'> {
    return this.#inTurn(signal, async () => {
      if (this.#runtime.clock.now() >= this.#deadline) return 'lost';
      const renewed = await this.#ifOurs((file) =>
        this.#extend(async (expiresAt) => {
          if (!(await this.#touch(file, expiresAt))) await this.#replace(this.#instance, expiresAt);
        }),
      );
      return renewed ? 'renewed' : 'lost';
    });
  }

  setStatus(status: ServiceInstance['status'], signal?: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async () => {
      const instance = { ...this.#instance, status };
      await this.#ifOurs(() => this.#replace(instance, this.#expiresAt));
      this.#instance = instance;
    });
  }

  deregister(signal?: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async () => {
      await this.#ifOurs(() =>
        unlink(this.#file).catch((error) => {
          if (codeOf(error) !== 'ENOENT') throw error;
        }),
      );
    });
  }

  /** Give it a whole `ttl`, counted from before `act`. What fails extends nothing. */
  async #extend(act: (expiresAt: number) => Promise<void>): Promise<void> {
    const { clock } = this.#runtime;
    const expiresAt = clock.wallTime() + this.#ttl;
    const deadline = clock.now() + this.#ttl;
    await act(expiresAt);
    this.#expiresAt = expiresAt;
    this.#deadline = deadline;
  }

  /** Act on the file if it is there, and not of another registration of the same id; resolves to whether it was. */
  async #ifOurs(act: (file: OpenFile) => Promise<void>): Promise<boolean> {
    const { service, id } = this.#instance;
    try {
      const ours = await withSmallFile(this.#file, async (file) => {
        if (decodeRecord(file.text, service, id).token !== this.#token) return false;
        await act(file);
        return true;
      });
      return ours === true;
    } catch (error) {
      // Somebody has broken the file: the registration is no longer known.
      if (error instanceof UnusableFileError) return false;
      throw error;
    }
  }

  /**
   * Renew it without writing: readers then need not read it again. By its handle, so that another's registration that
   * takes its place meanwhile is not touched. Resolves to false when that does not say it all.
   */
  async #touch({ text, handle }: OpenFile, expiresAt: number): Promise<boolean> {
    // A heartbeat only adds to what was said before. So when the wall clock went back, the file has to say it.
    if (text !== this.#text || expiresAt < this.#expiresAt) return false;
    const time = expiresAt - this.#ttl;
    try {
      await handle.utimes(time / 1_000, time / 1_000);
      // Some file systems keep seconds only, and one that forbids it may still let us write.
      return Math.abs((await handle.stat()).mtimeMs - time) < 1;
    } catch (error) {
      log('could not touch %s, so it is written again: %s', this.#file, messageOf(error));
      return false;
    }
  }

  async #replace(instance: ServiceInstance, expiresAt: number): Promise<void> {
    const text = encodeRecord({ expiresAt, ttl: this.#ttl, token: this.#token, instance });
    const mark = `${process.pid}-${this.#runtime.random().toString(36).slice(2)}`;
    const temporary = join(this.#directory, `.${instance.id}.${mark}.tmp`);
    const time = (expiresAt - this.#ttl) / 1_000;
    try {
      await writeFile(temporary, text, { flag: 'wx' });
      // Otherwise a change of status would look like a heartbeat.
      await utimes(temporary, time, time).catch(() => {});
      await rename(temporary, this.#file);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
    this.#text = text;
  }

  #inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      signal?.throwIfAborted();
      return work();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }
}
