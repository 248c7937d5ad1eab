/** Something that is due at a moment. The heap owns `heapIndex`. */
export interface DueEntry {
  readonly dueAt: number;
  /** Where it is in its heap; -1 when it is in none. */
  heapIndex: number;
}

/**
 * What is due first comes out first: a binary heap whose entries know where they are, so that any can be taken out.
 * No timer, and eight bytes an entry beside the entry itself.
 */
export class DueHeap<T extends DueEntry> {
  readonly #entries: T[] = [];

  /** Put in an entry that is in no heap; its `dueAt` must not change before it is out again. */
  add(entry: T): void {
    this.#up(entry, this.#entries.length);
  }

  /** Take out an entry, if it is in. */
  delete(entry: T): void {
    const index = entry.heapIndex;
    if (index < 0) return;
    entry.heapIndex = -1;
    const last = this.#entries.pop()!;
    if (last === entry) return;
    this.#up(last, index);
    if (last.heapIndex === index) this.#down(last, index);
  }

  /** Take out the first entry that is due at `now`, or undefined when none is. */
  takeDue(now: number): T | undefined {
    const first = this.#entries[0];
    if (first === undefined || first.dueAt > now) return undefined;
    this.delete(first);
    return first;
  }

  #up(entry: T, from: number): void {
    let index = from;
    while (index > 0) {
      const above = this.#entries[(index - 1) >> 1]!;
      if (above.dueAt <= entry.dueAt) break;
      this.#put(above, index);
      index = (index - 1) >> 1;
    }
    this.#put(entry, index);
  }

  #down(entry: T, from: number): void {
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      const [left, right] = [this.#entries[below], this.#entries[below + 1]];
      if (left === undefined) break;
      if (right !== undefined && right.dueAt < left.dueAt) below += 1;
      const least = this.#entries[below]!;
      if (least.dueAt >= entry.dueAt) break;
      this.#put(least, index);
      index = below;
    }
    this.#put(entry, index);
  }

  #put(entry: T, index: number): void {
    this.#entries[index] = entry;
    entry.heapIndex = index;
  }
}
