import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type {
  ClaimRequest,
  Lease,
  NewSaga,
  SagaQuery,
  SagaRecord,
  SagaStore,
} from '../../ports/saga-store.ts';
import {
  decodeForRepair,
  decodeRow,
  encodeRepairs,
  encodeSteps,
  isClaimable,
  newRow,
  type SagaRow,
} from '../internal/saga-row.ts';

/** Options of {@link memorySagaStore}. */
export interface MemorySagaStoreOptions {
  /** Clock of the leases. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });

interface Slot {
  readonly row: SagaRow;
  readonly owner: string | undefined;
}

/**
 * Keeps sagas in this process, as text, so that nobody shares an object with the store. What a resolved write survives
 * is a runner, not the process. It keeps every record until the process ends.
 *
 * @throws InvalidOptionsError when an option is unknown.
 */
export function memorySagaStore(options: MemorySagaStoreOptions = {}): SagaStore {
  const { runtime } = parseOptions('memorySagaStore', optionsSchema, options);
  return new MemorySagaStore(resolveRuntime(runtime));
}

/** Every method takes effect at once, before its promise resolves; so each is atomic. */
class MemorySagaStore implements SagaStore {
  readonly name = 'memory';
  readonly durability = 'nothing: it ends with the process';
  readonly #now: () => number;
  readonly #slots: Map<string, Slot> = new Map();
  /** Ids that may be claimed, oldest first; a map's order is that of insertion. */
  readonly #open: Set<string> = new Set();
  /** When each owner's lease ends. */
  readonly #leases: Map<string, number> = new Map();

  constructor({ clock }: Runtime) {
    this.#now = () => clock.now();
  }

  async start(): Promise<void> {}

  async create(saga: NewSaga, lease: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    const existing = this.#slots.get(saga.id);
    if (existing !== undefined) return { created: false, record: decodeRow(existing.row).record };
    const row = newRow(saga);
    this.#extend(lease);
    this.#put(row, lease.owner);
    return { created: true, record: decodeRow(row).record };
  }

  async update(record: SagaRecord): Promise<boolean> {
    const slot = this.#slots.get(record.id);
    const { status, epoch, version, reason = null } = record;
    if (slot === undefined || slot.row.epoch !== epoch || slot.row.version !== version) return false;
    const steps = encodeSteps(record);
    const written = { status, steps, reason, repairs: encodeRepairs(record), updated_at: record.updatedAt };
    this.#put({ ...slot.row, ...written, version: version + 1 }, slot.owner);
    return true;
  }

  async claim(request: ClaimRequest, lease: Lease): Promise<readonly SagaRecord[]> {
    const shapes = new Set(request.definitions.map(shapeOf));
    const holding = new Set(request.holding);
    const claimed: SagaRecord[] = [];
    for (const id of this.#open) {
      if (claimed.length >= request.limit) break;
      const { row, owner } = this.#slots.get(id)!;
      const own = owner === lease.owner;
      if (!shapes.has(shapeOf(row)) || (own ? holding.has(id) : this.#isAlive(owner))) continue;
      const next = { ...row, epoch: row.epoch + 1 };
      this.#put(next, lease.owner);
      claimed.push(decodeRow(next).record);
    }
    this.#extend(lease);
    return claimed;
  }

  async take(id: string, lease: Lease): Promise<SagaRecord | undefined> {
    const slot = this.#slots.get(id);
    if (slot === undefined || (isClaimable(slot.row.status) && this.#isAlive(slot.owner))) return undefined;
    const next = { ...slot.row, epoch: slot.row.epoch + 1 };
    const record = decodeForRepair(next);
    this.#put(next, lease.owner);
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
    const slot = this.#slots.get(id);
    return slot === undefined ? undefined : decodeRow(slot.row).record;
  }

  async list({ saga, status, limit = 100 }: SagaQuery): Promise<readonly SagaRecord[]> {
    return [...this.#slots.values()]
      .map(({ row }) => row)
      .filter((row) => (saga ?? row.saga) === row.saga && (status ?? row.status) === row.status)
      .reverse()
      .sort((a, b) => b.created_at - a.created_at)
      .slice(0, limit)
      .map((row) => decodeRow(row).record);
  }

  async close(): Promise<void> {}

  #put(row: SagaRow, owner: string | undefined): void {
    this.#slots.set(row.id, { row, owner });
    if (isClaimable(row.status)) this.#open.add(row.id);
    else this.#open.delete(row.id);
  }

  #isAlive(owner: string | undefined): boolean {
    return owner !== undefined && (this.#leases.get(owner) ?? Number.NEGATIVE_INFINITY) > this.#now();
  }

  #extend({ owner, ttl }: Lease): void {
    this.#leases.set(owner, this.#now() + ttl);
  }
}

function shapeOf({ saga, hash }: Pick<SagaRow, 'saga' | 'hash'>): string {
  return `${saga} ${hash}`;
}
