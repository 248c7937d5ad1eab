import type { Halt } from './halt.ts';
import type { JournalEntry, StepOutcome } from './journal.ts';
import type { PlannedStep } from './plan.ts';
import type { TaskOutcome } from './task.ts';

/** Steps to do, or to undo, at the same time. */
export interface GroupWorkOptions {
  readonly steps: readonly PlannedStep[];
  readonly halt: Halt;
  /** Whether one that this process did not begin may have been begun by another. */
  readonly mayHaveBegun: (step: PlannedStep) => boolean;
  readonly work: (
    step: PlannedStep,
    halt: Halt,
    onTurn: (error: unknown) => void,
  ) => Promise<TaskOutcome | undefined>;
  /** Write down; false when the saga is not ours any more. */
  readonly commit: (entries: readonly JournalEntry[], cause?: unknown) => Promise<boolean>;
  /** Nothing of the group is under way any more. */
  readonly end: () => void;
}

/**
 * The members of a parallel group. What each one has done is written down as it comes. When one turns the saga back, no
 * more are begun, the others are aborted, and once all have ended what became of them is one write: only then is
 * anything undone. When one must wait for a person, the others finish the attempt they are at.
 */
export class GroupWork {
  readonly #options: GroupWorkOptions;
  readonly #halt: Halt;
  readonly #turned: StepOutcome[] = [];
  #parked: JournalEntry | undefined;
  #cause: unknown;
  #isOurs = true;

  constructor(options: GroupWorkOptions) {
    this.#options = options;
    this.#halt = options.halt.child();
  }

  /** Resolves to false when it was time to leave, or the saga is not ours any more. Never rejects. */
  async run(): Promise<boolean> {
    const { steps, halt, commit, end } = this.#options;
    const members = steps.map(async (step) => {
      const onTurn = (): void =>
        this.#halt.abort(new Error(`the group turns back, since ${step.name} was not done`));
      // One of its own, since it has one watcher: whatever of this member is under way.
      const own = this.#halt.child();
      const outcome = await this.#options.work(step, own, onTurn);
      this.#halt.drop(own);
      await this.#take(step, outcome);
      return { step, isOver: outcome !== undefined };
    });
    const ended = await Promise.all(members);
    halt.drop(this.#halt);
    end();
    if (!this.#isOurs || halt.aborted) return false;
    const entries: JournalEntry[] = [];
    if (this.#turned.length > 0) {
      const unbegun = ended.filter(({ isOver }) => !isOver).map(({ step }) => this.#unbegun(step));
      entries.push({ type: 'turned', steps: [...this.#turned, ...unbegun] });
    }
    if (this.#parked !== undefined) entries.push(this.#parked);
    return entries.length === 0 || commit(entries, this.#cause);
  }

  async #take(step: PlannedStep, outcome: TaskOutcome | undefined): Promise<void> {
    if (outcome === undefined) return;
    const { entry, cause } = outcome;
    if (entry.type === 'refused' || entry.type === 'failed') {
      this.#cause ??= cause;
      this.#turned.push({ name: step.name, status: entry.type, error: entry.error });
    } else if (entry.type === 'parked') {
      this.#cause ??= cause;
      this.#parked ??= entry;
      this.#halt.leave();
    } else if (!(await this.#options.commit([entry]))) {
      this.#isOurs = false;
      this.#halt.leave();
    }
  }

  /** A member that was not begun has no effect, unless somebody before a crash had begun it. */
  #unbegun(step: PlannedStep): StepOutcome {
    const { name } = step;
    if (!this.#options.mayHaveBegun(step)) return { name, status: 'omitted' };
    return { name, status: 'failed', error: 'interrupted: whether it was done was not written down' };
  }
}
