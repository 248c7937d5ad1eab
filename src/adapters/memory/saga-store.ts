import type { Clock } from '../../core/clock.ts';
import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import {
  type ClaimedSaga,
  type ClaimRequest,
  type Lease,
  type NewSaga,
  type RequestOutcome,
  type SagaCount,
  type SagaQuery,
  type SagaRecord,
  type SagaRequest,
  type SagaStore,
  sagaRequestLimit,
  type Written,
} from '../../ports/saga-store.ts';
import { census, matcherOf, newestFirst } from '../internal/saga-query.ts';
import {
  claimedRow,
  createdRecord,
  decodeForRepair,
  encodeRequest,
  isEnded,
  isUnfinished,
  newRow,
} from '../internal/saga-row.ts';
import { SagaShelf, SagaSlot } from './saga-shelf.ts';

/** Options of {@link memorySagaStore}. */
export interface MemorySagaStoreOptions {
  /** Clock of the leases and of what is due. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });

/**
 * Keeps sagas in this process, as text, so that nobody shares an object with the store. What a resolved write survives
 * is a runner, not the process. It keeps every record until it is purged or the process ends.
 *
 * @throws InvalidOptionsError when an option is unknown.
 */
export function memorySagaStore(options: MemorySagaStoreOptions = {}): SagaStore {
  const { runtime } = parseOptions('memorySagaStore', optionsSchema, options);
  return new MemorySagaStore(resolveRuntime(runtime).clock);
}

/** Every method takes effect at once, before its promise resolves; so each is atomic. */
class MemorySagaStore implements SagaStore {
  readonly name = 'memory';
  readonly durability = 'nothing: it ends with the process';
  readonly #clock: Clock;
  readonly #slots: Map<string, SagaSlot> = new Map();
  /** Unfinished sagas by name and hash of their definition. */
  readonly #shelves: Map<string, Map<string, SagaShelf>> = new Map();
  /** When each owner's lease ends. */
  readonly #leases: Map<string, number> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async start(): Promise<void> {}

  async create(saga: NewSaga, lease: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    const existing = this.#slots.get(saga.id);
    if (existing !== undefined) return { created: false, record: existing.record };
    const row = newRow(saga);
    this.#slots.set(row.id, new SagaSlot(row, this.#shelfOf(row), lease.owner));
    this.#extend(lease);
    return { created: true, record: createdRecord(saga, row) };
  }

  async update(record: SagaRecord): Promise<Written | undefined> {
    const slot = this.#slots.get(record.id);
    if (slot === undefined) return undefined;
    if (slot.row.epoch !== record.epoch || slot.row.version !== record.version) return undefined;
    slot.write(record);
    return { requests: slot.requests.size };
  }

  async request(id: string, request: SagaRequest): Promise<RequestOutcome> {
    const text = encodeRequest(id, request);
    const slot = this.#slots.get(id);
    if (slot === undefined) return 'unknown';
    if (slot.requests.has(request.id)) return 'known';
    if (isEnded(slot.row.status)) return 'ended';
    if (slot.requests.size >= sagaRequestLimit(request.type)) return 'full';
    slot.append(request.id, text);
    return 'added';
  }

  async claim(request: ClaimRequest, lease: Lease): Promise<readonly ClaimedSaga[]> {
    const now = this.#clock.wallTime();
    const holding = new Set(request.holding);
    const isFree = (slot: SagaSlot): boolean =>
      slot.owner === lease.owner ? !holding.has(slot.row.id) : !this.#isAlive(slot.owner);
    const claimed: ClaimedSaga[] = [];
    for (const shelf of new Set(request.definitions.map((definition) => this.#shelfOf(definition)))) {
      for (const slot of shelf.due(now, isFree).slice(0, request.limitEach)) {
        const { row, record } = claimedRow(slot.stored, request.maxClaims, now);
        slot.hand(row, lease.owner);
        claimed.push(record);
      }
    }
    for (const owner of this.#leases.keys()) if (!this.#isAlive(owner)) this.#leases.delete(owner);
    this.#extend(lease);
    return claimed;
  }

  async take(id: string, lease: Lease): Promise<SagaRecord | undefined> {
    const slot = this.#slots.get(id);
    if (slot === undefined || (isUnfinished(slot.row.status) && this.#isAlive(slot.owner))) return undefined;
    const next = { ...slot.stored, epoch: slot.row.epoch + 1 };
    const record = decodeForRepair(next);
    slot.hand(next, lease.owner);
    this.#extend(lease);
    return record;
  }

  async heartbeat(lease: Lease): Promise<boolean> {
    if (!this.#isAlive(lease.owner)) return false;
    this.#extend(lease);
    return true;
  }

  async release(owner: string): Promise<void> {
    this.#leases.delete(owner);
  }

  async get(id: string): Promise<SagaRecord | undefined> {
    return this.#slots.get(id)?.record;
  }

  async list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    const matches = matcherOf(query);
    return [...this.#slots.values()]
      .filter(({ row }) => matches(row))
      .sort((a, b) => newestFirst(a.row, b.row))
      .slice(0, query.limit ?? 100)
      .map((slot) => slot.record);
  }

  async census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    const matches = matcherOf({ status });
    return census([...this.#slots.values()].map(({ row }) => row).filter(matches));
  }

  async purge(endedBefore: number, limit: number): Promise<number> {
    let purged = 0;
    for (const [id, { row }] of this.#slots) {
      if (purged >= limit) break;
      if (!isEnded(row.status) || row.updated_at >= endedBefore) continue;
      this.#slots.delete(id);
      purged += 1;
    }
    return purged;
  }

  async close(): Promise<void> {}

  #shelfOf({ saga, hash }: Pick<SagaRecord, 'saga' | 'hash'>): SagaShelf {
    let shelves = this.#shelves.get(saga);
    if (shelves === undefined) {
      shelves = new Map();
      this.#shelves.set(saga, shelves);
    }
    let shelf = shelves.get(hash);
    if (shelf === undefined) {
      shelf = new SagaShelf();
      shelves.set(hash, shelf);
    }
    return shelf;
  }

  #isAlive(owner: string | undefined): boolean {
    return owner !== undefined && (this.#leases.get(owner) ?? Number.NEGATIVE_INFINITY) > this.#clock.now();
  }

  #extend({ owner, ttl }: Lease): void {
    this.#leases.set(owner, this.#clock.now() + ttl);
  }
}
