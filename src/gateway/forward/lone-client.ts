import { abortController } from '../../core/abort-controller.ts';
import type { Client } from './attempt.ts';

/** Waits for an answer that no exchange waits for: a part of a composed one, or that of a copy. */
export class LoneClient implements Client {
  readonly #controller: AbortController = abortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get gone(): Error | undefined {
    return this.#controller.signal.aborted ? (this.#controller.signal.reason as Error) : undefined;
  }

  whenGone(callback: (reason: Error) => void): () => void {
    const { signal } = this.#controller;
    if (signal.aborted) callback(signal.reason as Error);
    const listener = (): void => callback(signal.reason as Error);
    signal.addEventListener('abort', listener, { once: true });
    return () => signal.removeEventListener('abort', listener);
  }

  /** The answer is not wanted any more. */
  leave(reason: Error): void {
    this.#controller.abort(reason);
  }
}
