interface Waiter {
  readonly take: () => void;
}

/**
 * How many steps may run at once. Those that wait stand in one queue for each definition, and a free slot goes to the
 * queues in turn, so that a crowd of one saga does not keep the others waiting. A saga that waits for its next try holds
 * no slot.
 */
export class Slots {
  #free: number;
  #waiting = 0;
  /** In the order of their turns. */
  readonly #queues: Map<string, Set<Waiter>> = new Map();

  constructor(count: number) {
    this.#free = count;
  }

  /** How many more could run now; negative by the number that wait. */
  get free(): number {
    return this.#free - this.#waiting;
  }

  /** A slot, if one is free; to be given back by {@link release}. */
  tryAcquire(): boolean {
    if (this.#free <= 0) return false;
    this.#free -= 1;
    return true;
  }

  /** Take a slot whether or not one is free. */
  seize(): void {
    this.#free -= 1;
  }

  /** Resolves to true with a slot, to be given back by {@link release}; to false when the signal aborts first. */
  acquire(queue: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.tryAcquire()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (got: boolean): void => {
        this.#leave(queue, waiter);
        signal.removeEventListener('abort', giveUp);
        resolve(got);
      };
      const waiter: Waiter = { take: () => finish(true) };
      const giveUp = (): void => finish(false);
      this.#join(queue, waiter);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Give a slot back: to the one that waits longest in the queue whose turn it is. */
  release(): void {
    if (this.#free < 0) {
      this.#free += 1;
      return;
    }
    for (const [name, queue] of this.#queues) {
      const [first] = queue;
      if (first === undefined) continue;
      // Its next turn comes after all others.
      this.#queues.delete(name);
      this.#queues.set(name, queue);
      first.take();
      return;
    }
    this.#free += 1;
  }

  #join(name: string, waiter: Waiter): void {
    const queue = this.#queues.get(name) ?? new Set();
    this.#queues.set(name, queue.add(waiter));
    this.#waiting += 1;
  }

  #leave(name: string, waiter: Waiter): void {
    const queue = this.#queues.get(name);
    if (!queue?.delete(waiter)) return;
    this.#waiting -= 1;
    if (queue.size === 0) this.#queues.delete(name);
  }
}
