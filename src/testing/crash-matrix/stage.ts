import { seededRandom } from '../test-runtime.ts';
import { type CallFault, type CallWorld, faultyStore, withFault } from './faulty-store.ts';
import type { Life } from './life.ts';
import type { CrashMatrixFault } from './matrix-options.ts';
import { Patience } from './patience.ts';
import type { ScriptedFault } from './script.ts';
import { VirtualTime } from './virtual-time.ts';
import type { Watch } from './watch.ts';

/** Of the workers of a run, in virtual milliseconds. */
export const matrixTimes: Readonly<
  Record<
    | 'lease'
    | 'pollInterval'
    | 'attemptTimeout'
    | 'settleTimeout'
    | 'late'
    | 'zombie'
    | 'restart'
    | 'doomsday',
    number
  >
> = {
  lease: 3_000,
  pollInterval: 1_000,
  attemptTimeout: 2_000,
  settleTimeout: 20_000,
  /** Past the time limit of an attempt and of a call to the store. */
  late: 4_000,
  /** Past the lease, so that another worker has taken over. */
  zombie: 8_000,
  /** Until a process that died is started again. */
  restart: 1_000,
  /** What has not ended by then is stuck. */
  doomsday: 1_800_000,
};

/** A call that a run makes, as its boundaries are counted. */
export interface Boundary {
  readonly number: number;
  /** Whether a participant is called, and not the store. */
  readonly participant: boolean;
}

/** The stage of one run: time, chance, what is scripted to go wrong, and what was seen. */
export class Stage implements CallWorld {
  readonly time: VirtualTime = new VirtualTime();
  readonly random: () => number = seededRandom(1);
  readonly patience: Patience = new Patience();
  readonly #notes: (readonly [at: number, who: string, what: string])[] = [];
  readonly boundaries: Boundary[] = [];
  /** Boundaries after this are those of a world that is at rest. */
  settled = false;
  readonly #script: ReadonlyMap<number, CrashMatrixFault>;
  readonly #cancel: () => void;

  constructor(script: readonly ScriptedFault[], cancel: () => void) {
    this.#script = new Map(script.map(({ boundary, fault }) => [boundary, fault]));
    this.#cancel = cancel;
  }

  pass(duration: number): Promise<void> {
    return this.time.pass(duration);
  }

  /** Note something for whoever reads how a run failed. */
  note(who: string, what: string): void {
    this.#notes.push([this.time.now(), who, what]);
  }

  /** What was noted, line by line. */
  get trace(): readonly string[] {
    return this.#notes.map(([at, who, what]) => {
      return `${(at / 1_000).toFixed(3).padStart(9)} s  ${who.padEnd(10)} ${what}`;
    });
  }

  /** How long everything that is late may take to come, in milliseconds. */
  get latest(): number {
    const faults = [...this.#script.values()];
    if (faults.includes('zombie')) return matrixTimes.zombie + matrixTimes.late;
    return faults.includes('late') ? matrixTimes.late + matrixTimes.lease : matrixTimes.lease;
  }

  storeFault(life: Life, operation: string, id: string): CallFault | undefined {
    const fault = this.#meet(life, `store.${operation}${id === '' ? '' : ` ${id}`}`, false);
    return fault === undefined ? undefined : this.#faultOf(life, fault);
  }

  /** Call a participant, or let that go wrong. */
  async participant<T>(life: Life, what: string, call: () => Promise<T>): Promise<T> {
    if (!life.isAwake) await life.awake();
    const fault = this.#meet(life, what, true);
    const told = async (): Promise<T> => this.patience.track(call());
    const answer = await this.#performed(life, fault, told);
    if (!life.isAwake) await life.awake();
    return answer;
  }

  #performed<T>(life: Life, fault: CrashMatrixFault | undefined, call: () => Promise<T>): Promise<T> {
    if (fault === undefined) return call();
    if (fault === 'duplicate') return call().then(call, call);
    const scripted = this.#faultOf(life, fault);
    return scripted === undefined ? call() : withFault(life, this, scripted, call);
  }

  #meet(life: Life, what: string, participant: boolean): CrashMatrixFault | undefined {
    if (this.settled) return undefined;
    const number = this.boundaries.length + 1;
    this.boundaries.push({ number, participant });
    const fault = this.#script.get(number);
    this.note(life.name, `#${number} ${what}${fault === undefined ? '' : `   <-- ${fault}`}`);
    return fault;
  }

  #faultOf(_life: Life, fault: CrashMatrixFault): CallFault | undefined {
    switch (fault) {
      case 'late':
        return { requestAfter: matrixTimes.late };
      case 'zombie':
        return { freezeFor: matrixTimes.zombie };
      case 'duplicate':
        return undefined;
      case 'cancel':
        this.#cancel();
        return undefined;
      default:
        return fault;
    }
  }
}

/** The store as a process of this run sees it. */
export function stagedStore(
  stage: Stage,
  watch: Watch,
  life: Life,
  store: Parameters<typeof faultyStore>[0],
): ReturnType<typeof faultyStore> {
  return faultyStore(store, life, stage, watch);
}
