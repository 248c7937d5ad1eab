import type { SagaRecord, SagaStatus, SagaStore } from '../../../src/ports/saga-store.ts';
import { ManualClock } from '../../../src/testing/manual-clock.ts';
import { seededRandom } from '../../../src/testing/test-runtime.ts';
import type { Engine } from './engine.ts';
import { Ledger, type Place } from './ledger.ts';

/** The saga that all of a world's instances follow. */
export interface Shape {
  readonly compensatable: number;
  /** Index of the pivot. */
  readonly pivot: number | undefined;
  readonly steps: number;
  /** Steps without an effect to undo. */
  readonly harmless: ReadonlySet<number>;
}

const finals: readonly SagaStatus[] = ['completed', 'compensated', 'resolved'];
/** Of the workers, in milliseconds. */
export const lease = 3_000;

/** Some hundreds of seconds in which everything goes wrong, and then some in which nothing more does. */
export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly ledger: Ledger = new Ledger();
  readonly random: () => number;
  readonly store: SagaStore;
  readonly shape: Shape;
  readonly engine: Engine;
  readonly counts: Map<string, number> = new Map();
  /** What operators have asked of living processes and was not answered yet: it may still set a saga going. */
  repairsUnderWay = 0;
  readonly #epochs: Map<string, number> = new Map();
  /** After this the world is kind, so that everything can come to its end. */
  readonly #kindFrom = 20_000;

  constructor(engine: Engine, seed: number) {
    this.engine = engine;
    this.random = seededRandom(seed);
    this.store = engine.memorySagaStore({ runtime: { clock: this.clock } });
    this.shape = this.#drawShape();
  }

  #drawShape(): Shape {
    const compensatable = Math.floor(this.random() * 4);
    const hasPivot = compensatable === 0 || this.random() < 0.7;
    const retriable = hasPivot ? Math.floor(this.random() * 3) : 0;
    const harmless = new Set<number>();
    for (let n = 0; n < compensatable; n += 1) if (this.random() < 0.15) harmless.add(n);
    const pivot = hasPivot ? compensatable : undefined;
    return { compensatable, pivot, steps: compensatable + (hasPivot ? 1 : 0) + retriable, harmless };
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  pass(duration: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(duration, resolve));
  }

  /** Sometimes longer than a lease, a time limit or a call. */
  delay(): number {
    return this.random() * (this.random() < 0.2 ? 3 * lease : 300);
  }

  /** Whether nothing more goes wrong. */
  get isKind(): boolean {
    return this.clock.now() > this.#kindFrom;
  }

  storeFault(): string {
    if (this.isKind) return '';
    const roll = this.random();
    if (roll < 0.004) return 'crash before';
    if (roll < 0.008) return 'crash after';
    if (roll < 0.03) return 'error before';
    if (roll < 0.05) return 'answer lost';
    if (roll < 0.07) return 'late request';
    return roll < 0.09 ? 'late answer' : '';
  }

  /** What a participant does. A few sagas have a step that is never known to be done. */
  conduct(id: string, step: number): string {
    if (step >= this.shape.compensatable && id.endsWith('7')) return 'fail with effect';
    // Longer than the runner asks, so that it parks in doubt; later it can be asked again.
    if (step === this.shape.pivot && id.endsWith('5') && this.clock.now() < 12_000)
      return 'fail without effect';
    if (this.isKind) return 'do';
    const roll = this.random();
    if (roll < 0.08) return 'refuse';
    if (roll < 0.14) return 'fail without effect';
    if (roll < 0.2) return 'fail with effect';
    if (roll < 0.24) return 'slow';
    if (roll < 0.26) return 'hang';
    if (roll < 0.262) return 'crash before';
    return roll < 0.264 ? 'crash after' : 'do';
  }

  /** A few undos never succeed. */
  undoConduct(id: string): string {
    if (id.endsWith('3')) return 'fail without effect';
    const conduct = this.conduct('', 0);
    return conduct === 'refuse' ? 'do' : conduct;
  }

  /** Watch a write: what is written must be true, in one direction, and under the newest epoch. */
  async witness(record: SagaRecord, write: () => Promise<boolean>): Promise<boolean> {
    const before = await this.store.get(record.id);
    const written = await write();
    if (!written || before === undefined) return written;
    const { id, epoch, status } = record;
    const newest = Math.max(before.epoch, this.#epochs.get(id) ?? 0);
    this.#epochs.set(id, newest);
    if (epoch < newest) this.ledger.breach(`${id}: epoch ${epoch} wrote over epoch ${newest}`);
    if (finals.includes(before.status)) this.ledger.breach(`${id}: ${before.status} became ${status}`);
    const turned = before.status === 'compensating' || before.steps.some((s) => s.status !== 'done');
    if (turned && (status === 'running' || status === 'completed')) {
      this.ledger.breach(`${id}: it turned forward again`);
    }
    this.#witnessRepairs(record, before);
    if (record.steps.length < before.steps.length) this.ledger.breach(`${id}: a step was forgotten`);
    this.#witnessSteps(record);
    return written;
  }

  /** What is parked is touched by repairs only, and each is written down once, for ever. */
  #witnessRepairs({ id, status, repairs = [] }: SagaRecord, before: SagaRecord): void {
    const { repairs: known = [] } = before;
    const added = before.status === 'parked' ? 1 : 0;
    const kept = JSON.stringify(repairs.slice(0, known.length)) === JSON.stringify(known);
    if (!kept || repairs.length !== known.length + added) {
      this.ledger.breach(`${id}: ${repairs.length} repairs are written after ${known.length}`);
    }
    if (added > 0) this.count(`repaired to ${status}`);
  }

  #witnessSteps({ id, steps }: SagaRecord): void {
    for (const [step, { status, skipped }] of steps.entries()) {
      if (skipped) this.#witnessSkip({ id, step }, status);
      if (skipped) continue;
      const { applied, live, undone } = this.ledger.entry({ id, step });
      if (status === 'done' && applied === 0)
        this.ledger.breach(`${id}: step ${step} is written before it is done`);
      if (status === 'undone' && (live || !undone)) {
        this.ledger.breach(`${id}: step ${step} is written before it is undone`);
      }
    }
  }

  /** Only what comes after the pivot, or was to be undone, may be passed over. */
  #witnessSkip(place: Place, status: string): void {
    const { pivot, compensatable } = this.shape;
    const behind = pivot !== undefined && place.step > pivot;
    const honest = status === 'done' ? behind : place.step < compensatable;
    if (!honest) this.ledger.breach(`${place.id}: step ${place.step} is skipped as ${status}`);
    this.ledger.skipped.add(`${place.id}/${place.step}`);
  }

  /** Check a saga's end against the books. */
  judge(id: string, record: SagaRecord | undefined): void {
    const { ledger, shape } = this;
    const breach = (text: string): void => ledger.breach(`${id}: ${text}`);
    if (record === undefined) {
      breach('it is lost');
      return;
    }
    this.count(record.status);
    if (record.status === 'running' || record.status === 'compensating')
      breach(`it is stuck ${record.status}`);
    if (record.status === 'parked' && !record.reason) breach('it is parked without a reason');
    const live = Array.from({ length: shape.steps }, (_, step) => ledger.entry({ id, step }).live);
    const excused = (step: number): boolean => ledger.isSkipped({ id, step });
    const missing = live.some((isLive, step) => !isLive && !excused(step));
    if (record.status === 'completed' && missing) breach(`it is completed with effects ${live}`);
    const left = live.filter((isLive, step) => isLive && !shape.harmless.has(step) && !excused(step));
    if (record.status === 'compensated' && left.length > 0) breach(`it is compensated with effects ${live}`);
  }
}
