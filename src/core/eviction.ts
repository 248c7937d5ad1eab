/**
 * How many entries are looked at for one that may be spared. It bounds what a new entry costs; and where more than so
 * many of the oldest may not be spared, they give way after all, so that they do not push out whatever is in use.
 */
const mostLookedAt = 256;

/**
 * Which entry of a bounded map in the order of use, the one used longest ago first, gives way to the last: the first of
 * the 256 oldest that is spare, or the very oldest where none is. Undefined only where there is nothing but the last.
 */
export function entryToForget<K, V>(
  entries: ReadonlyMap<K, V>,
  isSpare: (value: V) => boolean,
): [K, V] | undefined {
  let left = Math.min(mostLookedAt, entries.size - 1);
  let oldest: [K, V] | undefined;
  for (const entry of entries) {
    if (left === 0) break;
    left -= 1;
    if (isSpare(entry[1])) return entry;
    oldest ??= entry;
  }
  return oldest;
}
