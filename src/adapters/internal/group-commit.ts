/** Writes that are waiting for the same commit. */
import type { Clock } from '../../core/clock.ts';

/** One write and the promise of whoever asked for it. */
export interface PendingWrite<I, R> {
  readonly item: I;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

/** Options of {@link GroupCommit}. */
export interface GroupCommitOptions<I, R> {
  /** Write a batch and settle each of its writes; whatever is unsettled when this throws is rejected with the error. */
  readonly commit: (batch: readonly PendingWrite<I, R>[]) => Promise<void>;
  /** The most writes of one batch. */
  readonly maxBatch: number;
  /** How many batches may be under way at once. */
  readonly inFlight: number;
  /** Two writes of one key are never in the same batch; the later one waits for the next. Default: no keys. */
  readonly keyOf?: ((item: I) => string) | undefined;
  /**
   * The longest that a batch keeps its place among those under way, in milliseconds of this clock; then its writes are
   * rejected, although they may still come to be written. Default: as long as it takes.
   */
  readonly patience?: { readonly clock: Clock; readonly limit: number } | undefined;
  /** How many characters a write has; a batch stops at four million, or at its first write. Default: not counted. */
  readonly sizeOf?: ((item: I) => number) | undefined;
}

const maxSize = 4_000_000;
/** Fewer writes are one batch: a commit costs more than waiting for it. */
const worthDividing = 32;

/**
 * Lets writes share commits: those made in one turn of the event loop go together, and those made while as many batches
 * are under way as may be go together when one of them ends. So nobody waits for a timer, and the slower a commit is,
 * the more it carries.
 */
export class GroupCommit<I, R> {
  readonly #options: GroupCommitOptions<I, R>;
  #waiting: PendingWrite<I, R>[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(options: GroupCommitOptions<I, R>) {
    this.#options = options;
  }

  /** Settles as the commit does that this write was part of. */
  write(item: I): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight >= this.#options.inFlight || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    // After the microtasks of this turn, in which whoever the last commit woke makes the next write.
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#nextBatch();
    this.#inFlight += 1;
    this.#schedule();
    let isOver = false;
    const end = (error?: unknown): void => {
      if (isOver) return;
      isOver = true;
      // Those that are settled already do not hear of it.
      if (error !== undefined) for (const { reject } of batch) reject(error);
      this.#inFlight -= 1;
      this.#schedule();
    };
    const { patience } = this.#options;
    const late = patience?.clock.schedule(patience.limit, () => {
      end(new Error(`the store did not answer within ${patience.limit} ms`));
    });
    await this.#options.commit(batch).then(() => end(), end);
    late?.cancel();
  }

  /**
   * How many writes the next batch may have. Whoever one batch wakes makes the next writes together, so that client and
   * server would take turns; in two halves one of them is written while the other one is made.
   */
  #longest(waiting: number): number {
    const { maxBatch, inFlight } = this.#options;
    const divides = inFlight > 1 && this.#inFlight === 0 && waiting >= worthDividing;
    return Math.min(maxBatch, divides ? Math.ceil(waiting / 2) : waiting);
  }

  #nextBatch(): readonly PendingWrite<I, R>[] {
    const { keyOf, sizeOf } = this.#options;
    const waiting = this.#waiting;
    const maxBatch = this.#longest(waiting.length);
    if (keyOf === undefined && sizeOf === undefined && waiting.length <= maxBatch) {
      this.#waiting = [];
      return waiting;
    }
    const batch: PendingWrite<I, R>[] = [];
    const later: PendingWrite<I, R>[] = [];
    const keys = new Set<string>();
    let size = 0;
    for (const write of waiting) {
      const key = keyOf?.(write.item);
      size += sizeOf?.(write.item) ?? 0;
      const isFull = batch.length >= maxBatch || (size > maxSize && batch.length > 0);
      if (isFull || (key !== undefined && keys.has(key))) later.push(write);
      else batch.push(write);
      if (key !== undefined) keys.add(key);
    }
    this.#waiting = later;
    return batch;
  }
}
