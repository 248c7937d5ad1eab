import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * The text of a file, or undefined when there is none. Never hangs on a pipe, never reads without end.
 *
 * @throws Error when it is not a regular file, larger than `maxBytes`, not UTF-8, or cannot be read. The message begins
 * with a verb ("is a directory …") and does not name the path.
 */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  const file = await openFile(path);
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error(`is ${kindOf(stats)}, not a file`);
    if (stats.size > maxBytes) {
      throw new Error(`has ${stats.size} bytes; at most ${maxBytes} are read (option maxBytes)`);
    }
    return decode(await file.readFile());
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<Awaited<ReturnType<typeof open>> | undefined> {
  try {
    // Without NONBLOCK, opening a pipe that nobody writes to would wait for ever. Windows has neither.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new Error(`cannot be read (${code})`, { cause: error });
  }
}

function kindOf(stats: { isDirectory(): boolean; isFIFO(): boolean }): string {
  if (stats.isDirectory()) return 'a directory';
  return stats.isFIFO() ? 'a pipe' : 'a device or socket';
}

function decode(bytes: Uint8Array): string {
  try {
    // Drops a byte order mark, too.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('is not UTF-8 text');
  }
}
