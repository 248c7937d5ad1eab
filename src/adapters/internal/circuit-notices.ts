import type { Unsubscribe } from '../../core/emitter.ts';
import { warnOf } from '../../core/log.ts';
import { z } from '../../core/options.ts';
import type { CircuitNotice } from '../../ports/circuit-store.ts';

const schema = z.strictObject({
  breaker: z.string().max(4_096),
  origin: z.string().max(256),
  state: z.enum(['open', 'closed']),
  until: z.number(),
  wait: z.number().min(0),
  reason: z.string().max(256),
});

/** A notice that came from outside, or undefined when it is none. */
export function noticeFrom(value: unknown): CircuitNotice | undefined {
  return schema.safeParse(value).data;
}

/** What keeps one notice of a breaker apart from those of other origins; no two pairs give the same text. */
export function noticeKey({ breaker, origin }: CircuitNotice): string {
  return JSON.stringify([breaker, origin]);
}

/** The open notices of each breaker and origin, and who is told of them. */
export class CircuitNotices {
  readonly #open: Map<string, CircuitNotice> = new Map();
  readonly #listeners: Set<(notice: CircuitNotice) => void> = new Set();

  /** How many listen. */
  get watchers(): number {
    return this.#listeners.size;
  }

  /** The notices that are open at this wall time; the others are forgotten. */
  open(wallTime: number): CircuitNotice[] {
    for (const [key, { until }] of this.#open) if (until <= wallTime) this.#open.delete(key);
    return [...this.#open.values()];
  }

  /** Keep a notice; whether it says anything new. */
  keep(notice: CircuitNotice): boolean {
    const key = noticeKey(notice);
    const known = this.#open.get(key);
    if (notice.state === 'closed') return this.#open.delete(key);
    this.#open.set(key, notice);
    return known === undefined || known.until !== notice.until;
  }

  /** Add a listener, and tell it what is open. */
  watch(listener: (notice: CircuitNotice) => void, wallTime: number): Unsubscribe {
    // A wrapper, so that one function may listen twice.
    const told = (notice: CircuitNotice): void => tellOne(listener, notice);
    this.#listeners.add(told);
    for (const notice of this.open(wallTime)) told(notice);
    return () => void this.#listeners.delete(told);
  }

  /** Tell every listener. */
  tell(notice: CircuitNotice): void {
    for (const listener of [...this.#listeners]) listener(notice);
  }

  /** Forget all listeners. */
  silence(): void {
    this.#listeners.clear();
  }
}

function tellOne(listener: (notice: CircuitNotice) => void, notice: CircuitNotice): void {
  try {
    listener(notice);
  } catch (error) {
    warnOf('a watcher of a circuit store threw', error);
  }
}
