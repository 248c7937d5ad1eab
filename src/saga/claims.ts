import type { Clock } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import type { ClaimedSaga, Lease, SagaCount, SagaRecord } from '../ports/saga-store.ts';
import type { SagaRunnerSettings } from './runner-options.ts';
import type { SagaEvents } from './saga-events.ts';
import type { StoreCalls } from './store-calls.ts';

/** Options of {@link Claims}. */
export interface ClaimsOptions {
  readonly settings: SagaRunnerSettings;
  readonly clock: Clock;
  readonly emitter: Emitter<SagaEvents>;
  readonly store: StoreCalls;
  readonly lease: Lease;
  /** How many more sagas the worker can take. */
  readonly space: () => number;
  /** Ids of what it holds. */
  readonly holding: () => readonly string[];
  readonly knows: (shape: Pick<SagaRecord, 'saga' | 'hash'>) => boolean;
  readonly confirm: (sentAt: number) => void;
  readonly take: (record: ClaimedSaga) => void;
}

/**
 * A call that was given up is not withdrawn: where a client queues what it cannot send, each of them is a claim in the
 * end, and a saga that is claimed too often is parked. So no more are sent while so many are open, unless they have been
 * for so long, in milliseconds, that no answer is to be expected.
 */
const [mostOpen, openAtMost] = [2, 600_000];

/** How often to look for sagas that nobody here knows, in milliseconds. */
const censusInterval = 60_000;

/** Takes over what nobody holds, and tells of what it must leave. */
export class Claims {
  readonly #options: ClaimsOptions;
  #backlog = false;
  /** When each claim that has no answer yet was sent. */
  readonly #open: Set<{ readonly sentAt: number }> = new Set();
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** Whether there may be more than could be taken. */
  get backlog(): boolean {
    return this.#backlog;
  }

  /** Claim once. @throws StoreError. */
  async look(): Promise<void> {
    await this.#claim();
    // When it fails, which is told, it is tried again in a minute.
    await this.#tellUnclaimed().catch(() => {});
  }

  async #claim(): Promise<void> {
    const { settings, clock, store, lease, space, holding, confirm, take } = this.#options;
    const limit = space();
    if (limit <= 0) {
      this.#backlog = true;
      return;
    }
    const definitions = settings.sagas.map((s) => ({ saga: s.name, hash: s.hash }));
    const limitEach = Math.ceil(limit / definitions.length);
    const sentAt = clock.now();
    for (const one of this.#open) if (sentAt - one.sentAt > openAtMost) this.#open.delete(one);
    if (this.#open.size >= mostOpen) return;
    const { maxClaims } = settings;
    const request = { definitions, limitEach, holding: holding(), maxClaims };
    const records = await store.call('claim', (s) => this.#tracked(s.claim(request, lease), sentAt));
    confirm(sentAt);
    this.#backlog = records.length >= limitEach;
    for (const record of records) take(record);
  }

  #tracked<T>(answer: Promise<T>, sentAt: number): Promise<T> {
    const one = { sentAt };
    this.#open.add(one);
    const settled = (): void => void this.#open.delete(one);
    answer.then(settled, settled);
    return answer;
  }

  /** Counting is cheap, and asked for only where somebody listens. */
  async #tellUnclaimed(): Promise<void> {
    const { emitter, clock, store, knows } = this.#options;
    const now = clock.now();
    if (!emitter.wants('unclaimed') || now - this.#countedAt < censusInterval) return;
    this.#countedAt = now;
    const counts = await store.call('census', (s) => s.census(['running', 'waiting', 'compensating']));
    for (const count of byShape(counts)) if (!knows(count)) emitter.emit('unclaimed', count);
  }
}

function byShape(counts: readonly SagaCount[]): readonly Omit<SagaCount, 'status'>[] {
  const shapes = new Map<string, Omit<SagaCount, 'status'>>();
  for (const { saga, hash, definitionVersion, count } of counts) {
    const key = `${saga} ${hash} ${definitionVersion}`;
    shapes.set(key, { saga, hash, definitionVersion, count: count + (shapes.get(key)?.count ?? 0) });
  }
  return [...shapes.values()];
}
