/**
 * What stops the work on a saga: first no more is begun, then what is under way is aborted. Cheaper than a signal, which
 * is made only where somebody has to listen.
 */
export class Halt {
  #leaving = false;
  #aborted = false;
  #reason: unknown;
  #controller: AbortController | undefined;
  #abortController: AbortController | undefined;
  /** Who is told of the abort, and which halts end with this one. */
  #listeners: Set<(reason: unknown) => void> | undefined;
  #children: Set<Halt> | undefined;

  /** Whether nothing more is to be begun. */
  get leaving(): boolean {
    return this.#leaving;
  }

  /** Whether what is under way is to be given up. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Why it was aborted. */
  get reason(): unknown {
    return this.#reason;
  }

  /** Aborts when nothing more is to be begun. */
  get leaveSignal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#leaving) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Aborts when what is under way is to be given up. */
  get abortSignal(): AbortSignal {
    if (this.#abortController === undefined) {
      this.#abortController = new AbortController();
      if (this.#aborted) this.#abortController.abort(this.#reason);
    }
    return this.#abortController.signal;
  }

  /** Begin nothing more. */
  leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#controller?.abort();
    for (const child of this.#children ?? []) child.leave();
  }

  /** Begin nothing more, and give up what is under way. */
  abort(reason: unknown): void {
    this.leave();
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#abortController?.abort(reason);
    for (const child of this.#children ?? []) child.abort(reason);
    for (const listener of this.#listeners ?? []) listener(reason);
  }

  /** Be told of the abort, at once if it was; returns the way out. */
  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#aborted) listener(this.#reason);
    this.#listeners ??= new Set();
    const listeners = this.#listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** A halt of its own that also ends with this one, until {@link Halt.drop}ped. */
  child(): Halt {
    const child = new Halt();
    if (this.#leaving) child.leave();
    if (this.#aborted) child.abort(this.#reason);
    this.#children ??= new Set();
    this.#children.add(child);
    return child;
  }

  /** Forget a child. */
  drop(child: Halt): void {
    this.#children?.delete(child);
  }
}
