/** Where the memory store keeps what it has: a slot for each saga, a shelf for the unfinished ones of each shape. */
import type { SagaRecord } from '../../ports/saga-store.ts';
import { type DueEntry, DueHeap } from '../internal/due-heap.ts';
import { decodeRow, isUnfinished, type SagaRow } from '../internal/saga-row.ts';

const none: ReadonlyMap<string, string> = new Map();

/** One saga. */
export class SagaSlot implements DueEntry {
  row: SagaRow;
  owner: string | undefined;
  /** Whether a request is there that whoever wrote it had not seen; then it waits for nothing. */
  woken = false;
  heapIndex = -1;
  #requests: Map<string, string> | undefined;
  readonly #shelf: SagaShelf;

  constructor(row: SagaRow, shelf: SagaShelf) {
    this.row = row;
    this.#shelf = shelf;
  }

  /** Texts of the requests by their id, oldest first. */
  get requests(): ReadonlyMap<string, string> {
    return this.#requests ?? none;
  }

  /** The row with its requests. */
  get stored(): SagaRow {
    const { row, requests } = this;
    return requests.size === 0 ? row : { ...row, requests: `[${[...requests.values()].join()}]` };
  }

  get record(): SagaRecord {
    return decodeRow(this.stored).record;
  }

  /** Since when, or from when on, it may be claimed, by the wall clock. */
  get dueAt(): number {
    const { status, created_at, wake_at } = this.row;
    if (status !== 'waiting' || this.woken) return created_at;
    return wake_at ?? Number.POSITIVE_INFINITY;
  }

  /** What its owner wrote. One that begins to wait is held by nobody. */
  write(row: SagaRow, owner: string | undefined, unseen: boolean): void {
    this.put(row, row.status === 'waiting' ? undefined : owner, unseen);
  }

  put(row: SagaRow, owner: string | undefined, woken: boolean): void {
    this.#shelf.remove(this);
    this.row = row;
    this.owner = owner;
    this.woken = woken;
    if (isUnfinished(row.status)) this.#shelf.add(this);
  }

  /** Add a request and wake it. */
  append(id: string, text: string): void {
    this.#requests ??= new Map();
    this.#requests.set(id, text);
    this.put(this.row, this.owner, true);
  }
}

/** The unfinished sagas of one shape. */
export class SagaShelf {
  readonly #ready: Set<SagaSlot> = new Set();
  readonly #waiting: DueHeap<SagaSlot> = new DueHeap();

  add(slot: SagaSlot): void {
    if (slot.row.status === 'waiting' && !slot.woken) this.#waiting.add(slot);
    else this.#ready.add(slot);
  }

  remove(slot: SagaSlot): void {
    this.#waiting.delete(slot);
    this.#ready.delete(slot);
  }

  /** Whatever is due, held or not, the longest due first. */
  due(now: number): SagaSlot[] {
    for (let slot = this.#waiting.takeDue(now); slot !== undefined; slot = this.#waiting.takeDue(now)) {
      this.#ready.add(slot);
    }
    return [...this.#ready].sort((a, b) => a.dueAt - b.dueAt || (a.row.id < b.row.id ? -1 : 1));
  }
}
