import { abortController } from '../core/abort-controller.ts';

/** Told when what is under way is to be given up. */
export interface HaltWatcher {
  halted(reason: unknown): void;
}

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
  #watcher: HaltWatcher | undefined;
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
      this.#controller = abortController();
      if (this.#leaving) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Aborts when what is under way is to be given up. */
  get abortSignal(): AbortSignal {
    if (this.#abortController === undefined) {
      this.#abortController = abortController();
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
    this.#watcher?.halted(reason);
  }

  /** Who is told of the abort: whatever is under way. There is one at a time, or none. */
  set watcher(watcher: HaltWatcher | undefined) {
    this.#watcher = watcher;
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
