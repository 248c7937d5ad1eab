import { SagaRepairError, UnknownSagaError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Lease, SagaRecord } from '../ports/saga-store.ts';
import { apply, fold, isSettled, type JournalEntry } from './journal.ts';
import type { SagaPlan } from './plan.ts';
import { assertParked, type RepairRequest, repairEntry } from './repair.ts';
import type { StoreCalls } from './store-calls.ts';

/** Options of {@link RepairDesk}. */
export interface RepairDeskOptions {
  readonly store: StoreCalls;
  readonly runtime: Runtime;
  readonly lease: Lease;
  /** The plan of a record, if this runner knows it. */
  readonly planOf: (record: SagaRecord) => SagaPlan | undefined;
  /** A call that extends the lease succeeded; it was sent at this time of the monotonic clock. */
  readonly confirm: (sentAt: number) => void;
}

/** A repair that is written down. */
export interface Repaired {
  readonly entry: JournalEntry;
  readonly before: SagaRecord;
  readonly after: SagaRecord;
}

const overtaken = 'somebody else repaired it at the same time; look at it again';

/** Takes parked sagas for people, does as they say, and writes that down. */
export class RepairDesk {
  readonly #options: RepairDeskOptions;

  constructor(options: RepairDeskOptions) {
    this.#options = options;
  }

  /** @throws What `SagaRunner.retry` says. */
  async repair(id: string, request: RepairRequest): Promise<Repaired> {
    const { store, planOf } = this.#options;
    const found = await store.call('get', (s) => s.get(id));
    if (found === undefined) throw new UnknownSagaError(`there is no saga ${id} in the store`);
    assertParked(found);
    if (planOf(found) !== undefined) return this.#repair(found, request, this.#options.lease);
    // What this runner cannot run it must not keep from those that can: it is held by nobody afterwards.
    const lease = { ...this.#options.lease, owner: this.#options.runtime.id() };
    try {
      return await this.#repair(found, request, lease);
    } finally {
      // When it fails (which is told), the lease ends by itself.
      await store.call('release', (s) => s.release(lease.owner)).catch(() => {});
    }
  }

  async #repair(found: SagaRecord, request: RepairRequest, lease: Lease): Promise<Repaired> {
    const { store, runtime, planOf, confirm } = this.#options;
    const { id, saga } = found;
    const sentAt = runtime.clock.now();
    const before = await store.call('take', (s) => s.take(id, lease));
    if (before === undefined) throw new SagaRepairError(saga, id, overtaken);
    if (lease.owner === this.#options.lease.owner) confirm(sentAt);
    const plan = planOf(before);
    const entry = repairEntry(plan, before, request);
    const now = runtime.clock.wallTime();
    // Whoever knows the plan finds out what comes next.
    const next = plan === undefined ? apply(before, entry, now) : fold(plan, before, entry, now);
    return { entry, before, after: await this.#write(next) };
  }

  /** A cancel that came while the saga was parked was too late; that is written down, too. */
  async #write(record: SagaRecord): Promise<SagaRecord> {
    const { store } = this.#options;
    let next = record;
    for (let known = record.requests?.length ?? 0; ; ) {
      const sent = next;
      const written = await store.call('update', (s) => s.update(sent));
      if (written === undefined) throw new SagaRepairError(record.saga, record.id, overtaken);
      next = { ...sent, version: sent.version + 1, claims: 0 };
      if (written.requests <= known || isSettled(next.status)) return next;
      known = written.requests;
      const last = next.repairs!.length - 1;
      const repairs = next.repairs!.map((r, index) => (index === last ? { ...r, requests: known } : r));
      next = { ...next, repairs };
    }
  }
}
