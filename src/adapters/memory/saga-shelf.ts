/** Where the memory store keeps what it has: a slot for each saga, a shelf for the unfinished ones of each shape. */
import { stringifyJson } from '../../core/json.ts';
import type { SagaRecord, StepRecord } from '../../ports/saga-store.ts';
import { type DueEntry, DueHeap } from '../internal/due-heap.ts';
import { changeOf, decodeRow, isUnfinished, type SagaRow } from '../internal/saga-row.ts';

const noRequests: ReadonlyMap<string, string> = new Map();
const noSteps: readonly StepRecord[] = [];

type Columns = { -readonly [K in keyof SagaRow]: SagaRow[K] };

/** One saga. */
export class SagaSlot implements DueEntry {
  /** Its columns; those of steps and requests are not kept up, see {@link SagaSlot.stored}. */
  readonly row: Columns;
  owner: string | undefined;
  heapIndex = -1;
  /** Whether a request is there that whoever wrote it had not seen; then it waits for nothing. */
  #woken = false;
  /** The steps as JSON, without the brackets. */
  #steps: string;
  /** What that is the text of, while there is more to come: so that each step is made text of once. */
  #written: readonly StepRecord[] = noSteps;
  #requests: Map<string, string> | undefined;
  readonly #shelf: SagaShelf;

  /** @param row becomes its own */
  constructor(row: SagaRow, shelf: SagaShelf, owner: string) {
    this.row = row;
    this.#steps = row.steps.slice(1, -1);
    this.#shelf = shelf;
    this.owner = row.status === 'waiting' ? undefined : owner;
    if (isUnfinished(row.status)) shelf.add(this);
  }

  /** Texts of the requests by their id, oldest first. */
  get requests(): ReadonlyMap<string, string> {
    return this.#requests ?? noRequests;
  }

  /** The whole row. */
  get stored(): SagaRow {
    const requests = this.#requests && `[${[...this.#requests.values()].join()}]`;
    return { ...this.row, steps: `[${this.#steps}]`, requests: requests ?? null };
  }

  get record(): SagaRecord {
    return decodeRow(this.stored).record;
  }

  /** Whether it has nothing to do before `dueAt`. */
  get waits(): boolean {
    return this.row.status === 'waiting' && !this.#woken;
  }

  /** Since when, or from when on, it may be claimed, by the wall clock. */
  get dueAt(): number {
    return this.waits ? (this.row.wake_at ?? Number.POSITIVE_INFINITY) : this.row.created_at;
  }

  /** What its owner wrote. @throws InvalidPayloadError when something is not JSON; then nothing is changed. */
  write(record: SagaRecord): void {
    const { row } = this;
    const change = changeOf(record, this.#encode(record));
    const stays = row.status === change.status && change.status !== 'waiting';
    if (!stays) this.#shelf.remove(this);
    row.status = change.status;
    row.reason = change.reason;
    row.parked_at = change.parked_at;
    row.repairs = change.repairs;
    row.wake_at = change.wake_at;
    row.updated_at = change.updated_at;
    row.version += 1;
    row.claims = 0;
    this.#steps = change.steps;
    this.#written = isUnfinished(row.status) && row.status !== 'waiting' ? record.steps : noSteps;
    if (row.status === 'waiting') {
      this.owner = undefined;
      this.#woken = this.requests.size > (record.requests?.length ?? 0);
    }
    if (!stays && isUnfinished(row.status)) this.#shelf.add(this);
  }

  /** The steps as text. Those that are the same objects as the last time are as they were: a record never changes. */
  #encode({ id, steps }: SagaRecord): string {
    const written = this.#written;
    let same = 0;
    while (same < written.length && written[same] === steps[same]) same += 1;
    let text = same > 0 && same === written.length ? this.#steps : '';
    for (let index = text === '' ? 0 : same; index < steps.length; index += 1) {
      const step = stringifyJson(steps[index], `step ${index} of saga ${id}`);
      text = text === '' ? step : `${text},${step}`;
    }
    return text;
  }

  /** Make it an owner's, or park it. */
  hand({ status, reason, parked_at, updated_at, epoch, claims }: SagaRow, owner: string): void {
    const { row } = this;
    this.#shelf.remove(this);
    Object.assign(row, { status, reason, parked_at, updated_at, epoch, claims });
    this.owner = owner;
    if (isUnfinished(row.status)) this.#shelf.add(this);
  }

  /** Add a request, and wake it. */
  append(id: string, text: string): void {
    this.#requests ??= new Map();
    this.#requests.set(id, text);
    if (!this.waits) return;
    this.#shelf.remove(this);
    this.#woken = true;
    this.#shelf.add(this);
  }
}

/** The unfinished sagas of one shape. */
export class SagaShelf {
  readonly #ready: Set<SagaSlot> = new Set();
  readonly #waiting: DueHeap<SagaSlot> = new DueHeap();

  add(slot: SagaSlot): void {
    if (slot.waits) this.#waiting.add(slot);
    else this.#ready.add(slot);
  }

  remove(slot: SagaSlot): void {
    this.#waiting.delete(slot);
    this.#ready.delete(slot);
  }

  /** Whatever is due and free, the longest due first. Most is held, and so left out before the sorting. */
  due(now: number, isFree: (slot: SagaSlot) => boolean): SagaSlot[] {
    for (let slot = this.#waiting.takeDue(now); slot !== undefined; slot = this.#waiting.takeDue(now)) {
      this.#ready.add(slot);
    }
    const free: SagaSlot[] = [];
    for (const slot of this.#ready) if (isFree(slot)) free.push(slot);
    return free.sort((a, b) => a.dueAt - b.dueAt || (a.row.id < b.row.id ? -1 : 1));
  }
}
