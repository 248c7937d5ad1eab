/** Those who wait, in the order in which they are served: by priority, and within one by how long they wait. */
export class WaitingLine<T> {
  /** By priority. Made only where somebody waits. */
  readonly #lanes: Set<T>[] = [];
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Line up. A higher priority, a whole number ≥ 0, is served first. */
  add(waiter: T, priority: number): void {
    while (this.#lanes.length <= priority) this.#lanes.push(new Set());
    this.#lanes[priority]!.add(waiter);
    this.#size += 1;
  }

  /** Leave the line; nothing happens to who is not in it. */
  delete(waiter: T, priority: number): void {
    if (this.#lanes[priority]?.delete(waiter)) this.#size -= 1;
  }

  /** Who is served next. */
  first(): T | undefined {
    const lane = this.#lanes.findLast((waiters) => waiters.size > 0);
    return lane?.values().next().value;
  }

  /** Who gives way to a newcomer of this priority: of the lowest priority, if that is lower, the last to come. */
  lastBelow(priority: number): T | undefined {
    const lane = this.#lanes.slice(0, priority).find((waiters) => waiters.size > 0);
    return lane === undefined ? undefined : [...lane].at(-1);
  }
}
