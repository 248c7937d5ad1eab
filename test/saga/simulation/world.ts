import type { SagaStore } from '../../../src/ports/saga-store.ts';
import type { CallFault, CallWorld } from '../../../src/testing/crash-matrix/faulty-store.ts';
import { VirtualTime } from '../../../src/testing/crash-matrix/virtual-time.ts';
import { seededRandom } from '../../../src/testing/test-runtime.ts';
import { Books } from './books.ts';
import type { Engine } from './engine.ts';
import { drawShape, type Place, type Shape } from './shape.ts';

/** Of the workers, in milliseconds. */
export const lease = 3_000;
/** After this the world is kind, so that everything can come to its end. */
const kindFrom = 20_000;
/** How far a wall clock may be off, in milliseconds. */
export const greatestSkew = 2_000;

/** What a participant does with one call. */
export type Conduct =
  | 'do'
  | 'refuse'
  | 'fail without effect'
  | 'fail with effect'
  | 'slow'
  | 'hang'
  | 'crash before'
  | 'crash after';

/** Twenty seconds in which everything goes wrong, and then some in which nothing more does. */
export class World implements CallWorld {
  readonly time: VirtualTime = new VirtualTime();
  readonly books: Books = new Books();
  readonly random: () => number;
  readonly store: SagaStore;
  readonly shape: Shape;
  readonly engine: Engine;
  /** By name; filled when the first process has built the saga. */
  places: Map<string, Place> = new Map();
  readonly counts: Map<string, number> = new Map();
  /** What clients and operators have asked and was not answered yet: it may still set a saga going. */
  pending = 0;
  /** Id of a saga whose every event is noted. */
  followed: string | undefined = undefined;
  readonly trace: string[] = [];

  constructor(engine: Engine, seed: number) {
    this.engine = engine;
    this.random = seededRandom(seed);
    this.store = engine.memorySagaStore({ runtime: { clock: this.time } });
    this.shape = drawShape(this.random);
  }

  /** Note what happens to the saga that is followed, if one is. */
  note(id: string, who: string, what: string): void {
    if (id === this.followed) this.trace.push(`${this.time.now().toFixed(0).padStart(7)} ${who} ${what}`);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  pass(duration: number): Promise<void> {
    return this.time.pass(duration);
  }

  /** Sometimes longer than a lease, a time limit or a call. */
  delay(): number {
    return this.random() * (this.random() < 0.2 ? 3 * lease : 300);
  }

  /** Whether nothing more goes wrong. */
  get isKind(): boolean {
    return this.time.now() > kindFrom;
  }

  storeFault(): CallFault | undefined {
    if (this.isKind) return undefined;
    const roll = this.random();
    if (roll >= 0.09) return undefined;
    const fault = this.#drawFault(roll);
    this.count(`store: ${typeof fault === 'string' ? fault : Object.keys(fault)[0]}`);
    return fault;
  }

  #drawFault(roll: number): CallFault {
    // A process has a thousand calls and more, so that a crash at one in some hundred is often enough.
    if (roll < 0.0008) return 'crash before';
    if (roll < 0.0016) return 'crash after';
    if (roll < 0.026) return 'error before';
    if (roll < 0.05) return 'answer lost';
    return roll < 0.07 ? { requestAfter: this.delay() } : { answerAfter: this.delay() };
  }

  /** What a participant does. A few sagas have a step that is never known to be done. */
  conduct(n: number, { kind }: Place): Conduct {
    if (kind !== 'compensatable' && n % 50 === 7) return 'fail with effect';
    // Longer than the runner asks, so that it parks in doubt; later it can be asked again.
    if (kind === 'pivot' && n % 50 === 5 && this.time.now() < 12_000) return 'fail without effect';
    return this.#drawConduct();
  }

  /** A few undos never succeed. */
  undoConduct(n: number): Conduct {
    if (n % 50 === 3) return 'fail without effect';
    const conduct = this.#drawConduct();
    return conduct === 'refuse' ? 'do' : conduct;
  }

  #drawConduct(): Conduct {
    if (this.isKind) return 'do';
    const roll = this.random();
    if (roll >= 0.25) return 'do';
    const conduct = participantFault(roll);
    this.count(`participant: ${conduct}`);
    return conduct;
  }
}

function participantFault(roll: number): Conduct {
  if (roll < 0.07) return 'refuse';
  if (roll < 0.13) return 'fail without effect';
  if (roll < 0.19) return 'fail with effect';
  if (roll < 0.23) return 'slow';
  if (roll < 0.249) return 'hang';
  return roll < 0.2495 ? 'crash before' : 'crash after';
}
