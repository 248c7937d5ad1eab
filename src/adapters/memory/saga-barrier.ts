import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import {
  type BarrierMarks,
  decideBarrier,
  encodeResult,
  performed,
  refusalOf,
  setMarks,
} from '../../ports/barrier-decision.ts';
import type {
  BarrierCall,
  BarrierContext,
  BarrierOutcome,
  BarrierWork,
  SagaBarrier,
} from '../../ports/saga-barrier.ts';
import { CheckedBarrier } from '../internal/barrier-run.ts';

/** Options of {@link memorySagaBarrier}. */
export interface MemorySagaBarrierOptions {
  /** Clock of the marks' ages. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** What the work of a {@link memorySagaBarrier} changes data by. */
export interface MemoryTransaction {
  /** Do this when the work has succeeded, and not at all when it has not. */
  apply(change: () => void): void;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });

/**
 * A barrier in this process, for tests: it forgets everything when the process ends.
 *
 * @throws InvalidOptionsError when an option is unknown.
 */
export function memorySagaBarrier(options: MemorySagaBarrierOptions = {}): SagaBarrier<MemoryTransaction> {
  const { runtime } = parseOptions('memorySagaBarrier', optionsSchema, options);
  return new MemorySagaBarrier(resolveRuntime(runtime));
}

interface Kept {
  readonly marks: BarrierMarks;
  /** Wall time of the last of them, in milliseconds. */
  readonly at: number;
}

class MemorySagaBarrier extends CheckedBarrier<MemoryTransaction> {
  readonly name = 'memory';
  readonly #wallTime: () => number;
  readonly #kept: Map<string, Kept> = new Map();
  /** The last call under way of each step; the next one waits for it. */
  readonly #turns: Map<string, Promise<unknown>> = new Map();

  constructor({ clock }: Runtime) {
    super();
    this.#wallTime = () => clock.wallTime();
  }

  async start(): Promise<void> {}

  protected async perform(call: BarrierCall, work: BarrierWork<MemoryTransaction>): Promise<BarrierOutcome> {
    const key = JSON.stringify([call.saga, call.step]);
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(() => this.#inTurn(key, call, work));
    const settled = turn.catch(() => {});
    this.#turns.set(key, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === settled) this.#turns.delete(key);
    }
  }

  async #inTurn(
    key: string,
    call: BarrierCall,
    work: BarrierWork<MemoryTransaction>,
  ): Promise<BarrierOutcome> {
    const found = this.#kept.get(key)?.marks ?? {};
    const decision = decideBarrier(call, found);
    const marks = setMarks(call, found);
    if (decision.type === 'answer') {
      this.#keep(key, marks);
      return decision.outcome;
    }
    return this.#work(key, call, marks, () => this.#transact(call, work, decision.context));
  }

  async #work(
    key: string,
    call: BarrierCall,
    marks: BarrierMarks,
    transact: () => Promise<string | undefined>,
  ): Promise<BarrierOutcome> {
    const mark = marks[call.operation]!;
    try {
      const result = await transact();
      this.#keep(key, { ...marks, [call.operation]: { ...mark, result } });
      return performed(result);
    } catch (error) {
      const refused = refusalOf(call, error);
      if (refused === undefined) throw error;
      this.#keep(key, { ...marks, do: { ...mark, refused } });
      return { type: 'refused', by: 'work', reason: refused };
    }
  }

  async #transact(
    call: BarrierCall,
    work: BarrierWork<MemoryTransaction>,
    context: BarrierContext,
  ): Promise<string | undefined> {
    const changes: (() => void)[] = [];
    const result = encodeResult(call, await work({ apply: (change) => void changes.push(change) }, context));
    for (const change of changes) change();
    return result;
  }

  #keep(key: string, marks: BarrierMarks): void {
    const known = this.#kept.get(key);
    const changed = known === undefined || (known.marks.undo === undefined && marks.undo !== undefined);
    this.#kept.set(key, { marks, at: changed ? this.#wallTime() : known.at });
  }

  async purge(before: number, limit: number): Promise<number> {
    let purged = 0;
    for (const [key, { marks, at }] of this.#kept) {
      if (purged >= limit) break;
      if (at >= before) continue;
      this.#kept.delete(key);
      purged += marks.undo === undefined ? 1 : 2;
    }
    return purged;
  }
}
