/** How many steps may run at once; first come, first served. A saga that waits for its next try holds no slot. */
export class Slots {
  #free: number;
  readonly #queue: Set<() => void> = new Set();

  constructor(count: number) {
    this.#free = count;
  }

  /** How many more could run now; negative by the number that wait. */
  get free(): number {
    return this.#free - this.#queue.size;
  }

  /** Resolves to true with a slot, to be given back by {@link release}; to false when the signal aborts first. */
  acquire(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const finish = (got: boolean): void => {
        this.#queue.delete(take);
        signal.removeEventListener('abort', giveUp);
        resolve(got);
      };
      const take = (): void => finish(true);
      const giveUp = (): void => finish(false);
      this.#queue.add(take);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Give a slot back, to the one that waits longest. */
  release(): void {
    const next = this.#queue.values().next();
    if (next.done) this.#free += 1;
    else next.value();
  }
}
