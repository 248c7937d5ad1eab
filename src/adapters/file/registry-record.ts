/** How one registration stands in its file. */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isPlainObject } from '../../core/json.ts';
import type { ServiceInstance } from '../../ports/registry-backend.ts';

/** The content of a registration's file. */
export interface RegistryRecord {
  /**
   * Wall time at which it expires unless renewed, in milliseconds. A heartbeat does not change it: it sets the time of the
   * file's last change, and a `ttl` counts from there.
   */
  readonly expiresAt: number;
  /** How long a renewal lasts, in milliseconds. */
  readonly ttl: number;
  /** Tells apart two registrations of the same id. */
  readonly token: string;
  readonly instance: ServiceInstance;
}

/** Far more than the largest registration that a service registry writes. */
const largestFile = 1_048_576;

/** An instance has two levels, itself and its tags or metadata; a newer version of the library may add some. */
const largestDepth = 10;

/** The file's text. */
export function encodeRecord(record: RegistryRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** A file is there and is no registration; the others are fine. */
export class UnusableFileError extends Error {}

/**
 * The record of a file. What is said of the instance is believed only as far as its name; whoever uses it checks it.
 *
 * @throws UnusableFileError
 */
export function decodeRecord(text: string, service: string, id: string): RegistryRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UnusableFileError('it is not JSON, or only half of it');
  }
  if (!isPlainObject(value) || !isPlainObject(value.instance)) {
    throw new UnusableFileError('it is not a registration');
  }
  const { expiresAt, ttl, token, instance } = value;
  if (!isPositive(expiresAt) || !isPositive(ttl) || typeof token !== 'string') {
    throw new UnusableFileError('expiresAt, ttl or token is missing or wrong');
  }
  if (instance.id !== id || instance.service !== service) {
    throw new UnusableFileError('it holds another instance than its name says');
  }
  if (!isShallow(instance, largestDepth)) throw new UnusableFileError('it is nested too deeply');
  return { expiresAt, ttl, token, instance: instance as unknown as ServiceInstance };
}

/** Whether it ends within so many levels. What does not would overflow the stack of whoever compares it. */
function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((child) => isShallow(child, levels - 1));
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

/** A file that is open, and was read. */
export interface OpenFile {
  readonly text: string;
  readonly stats: BigIntStats;
  readonly handle: FileHandle;
}

/**
 * Open a regular file, read it, and do something with it; undefined when it is not there. Follows no symbolic link, and
 * does not wait for a named pipe's writer.
 *
 * @throws UnusableFileError when it is not an ordinary file, is too large, or may not be read by us.
 * @throws any other error of the file system, which says nothing about the file, and what `use` throws.
 */
export async function withSmallFile<T>(
  path: string,
  use: (file: OpenFile) => T | Promise<T>,
): Promise<T | undefined> {
  const handle = await openCarefully(path);
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) throw new UnusableFileError('it is not an ordinary file');
    if (stats.size > largestFile) throw new UnusableFileError(`it is larger than ${largestFile} bytes`);
    return await use({ text: await handle.readFile('utf8'), stats, handle });
  } finally {
    await handle.close();
  }
}

async function openCarefully(path: string): Promise<FileHandle | undefined> {
  try {
    // The two flags do not exist on Windows, which has neither danger.
    const careful = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    return await open(path, constants.O_RDONLY | careful);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP' || code === 'ENXIO') throw new UnusableFileError('it is not an ordinary file');
    if (code === 'EACCES' || code === 'EPERM')
      throw new UnusableFileError('it may not be read by this process');
    throw error;
  }
}

/** The system's code of an error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
