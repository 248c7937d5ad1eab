/**
 * One writer, many iterators. Each iterator yields the newest value at once and then every newer one; a slow reader
 * skips what it missed and never makes the writer wait or memory grow. So it is for states, not for messages.
 */
export class Broadcast<T> {
  #current: { readonly value: T; readonly version: number } | undefined;
  #version = 0;
  #closed: { readonly error: unknown } | undefined;
  readonly #wakers: Set<() => void> = new Set();

  /** The newest value, or undefined before the first. */
  get current(): T | undefined {
    return this.#current?.value;
  }

  /** Make this the newest value. Ignored once closed. */
  publish(value: T): void {
    if (this.#closed !== undefined) return;
    this.#version += 1;
    this.#current = { value, version: this.#version };
    this.#wake();
  }

  /** End every iterator, after its newest value; with an error, by throwing it. Idempotent. */
  close(error?: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = { error };
    this.#wake();
  }

  /** Iterate from the newest value on, until closed or until the signal aborts (which ends it quietly). */
  async *values(signal?: AbortSignal): AsyncGenerator<T, void, undefined> {
    let seen = 0;
    while (!signal?.aborted) {
      const current = this.#current;
      if (current !== undefined && current.version > seen) {
        seen = current.version;
        yield current.value;
      } else if (this.#closed !== undefined) {
        if (this.#closed.error !== undefined) throw this.#closed.error;
        return;
      } else {
        await this.#changed(signal);
      }
    }
  }

  #changed(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }
}
