/** What a cache holds: answers by key, a few variants of each, bounded in bytes; what was used longest ago goes first. */
import type { HeaderList } from '../../http/headers.ts';
import type { CacheRequest, Freshness } from './freshness.ts';

/** An answer that is held. */
export interface StoredAnswer {
  readonly status: number;
  /** As the upstream sent them. */
  readonly headers: HeaderList;
  readonly body: Buffer;
  readonly freshness: Freshness;
}

interface Shelf {
  readonly answers: StoredAnswer[];
  bytes: number;
}

/** The most variants of one key; a client chooses what it sends, so `Vary` alone must not fill the store. */
const variants = 16;

/** What an entry costs besides its text: objects, maps, the policy. A generous guess. */
const overhead = 1_024;

function sizeOf({ headers, body }: StoredAnswer): number {
  let total = overhead + body.length;
  // The policy keeps a second copy.
  for (const part of headers) total += part.length * 2;
  return total;
}

/** Answers by key. */
export class AnswerStore {
  readonly #limit: number;
  readonly #shelves: Map<string, Shelf> = new Map();
  #bytes = 0;

  /** @param limit bytes, counted generously. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many answers are held. */
  get size(): number {
    let total = 0;
    for (const { answers } of this.#shelves.values()) total += answers.length;
    return total;
  }

  /** The answer that was stored last for requests like this one. */
  find(key: string, request: CacheRequest): StoredAnswer | undefined {
    const shelf = this.#shelves.get(key);
    if (shelf === undefined) return undefined;
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    return shelf.answers.find(({ freshness }) => freshness.matches(request));
  }

  /** Hold an answer, in place of the one for requests like this. */
  put(key: string, request: CacheRequest, answer: StoredAnswer): void {
    const shelf = this.#shelves.get(key) ?? { answers: [], bytes: key.length };
    if (!this.#shelves.has(key)) this.#bytes += shelf.bytes;
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    const same = shelf.answers.findIndex(({ freshness }) => freshness.matches(request));
    if (same !== -1) this.#take(shelf, same);
    if (shelf.answers.length >= variants) this.#take(shelf, shelf.answers.length - 1);
    shelf.answers.unshift(answer);
    shelf.bytes += sizeOf(answer);
    this.#bytes += sizeOf(answer);
    this.#shrink();
  }

  /** Forget all answers of a key; how many there were. */
  delete(key: string): number {
    const shelf = this.#shelves.get(key);
    if (shelf === undefined) return 0;
    this.#shelves.delete(key);
    this.#bytes -= shelf.bytes;
    return shelf.answers.length;
  }

  keys(): IterableIterator<string> {
    return this.#shelves.keys();
  }

  #take(shelf: Shelf, index: number): void {
    const [taken] = shelf.answers.splice(index, 1);
    if (taken === undefined) return;
    shelf.bytes -= sizeOf(taken);
    this.#bytes -= sizeOf(taken);
  }

  #shrink(): void {
    for (const key of this.#shelves.keys()) {
      if (this.#bytes <= this.#limit) return;
      this.delete(key);
    }
  }
}
