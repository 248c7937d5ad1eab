import type { Saga } from '../../saga/saga-phases.ts';
import type { StepFunctions } from '../../saga/saga-types.ts';
import type { Life } from './life.ts';
import type { Stage } from './stage.ts';
import type { Watch } from './watch.ts';

/** What one run knows of the calls to participants, whoever made them. */
export class Calls {
  readonly #answered: Set<string> = new Set();
  readonly #keys: Map<string, string> = new Map();

  has(step: string, operation: 'do' | 'undo'): boolean {
    return this.#answered.has(`${operation} ${step}`);
  }

  answered(what: string): void {
    this.#answered.add(what);
  }

  /** Whether a step has always the same key. */
  sameKey(what: string, key: string): boolean {
    const known = this.#keys.get(what) ?? key;
    this.#keys.set(what, known);
    return known === key;
  }
}

interface Surroundings {
  readonly stage: Stage;
  readonly watch: Watch;
  readonly calls: Calls;
  readonly life: Life;
}

/** The same saga, whose every call to a participant is a boundary of the process that makes it. */
export function stagedSaga<Input, Results>(
  saga: Saga<Input, Results>,
  surroundings: Surroundings,
): Saga<Input, Results> {
  const { definition, name, hash } = saga;
  const underWay = new Map<string, number>();
  const functions = new Map<string, StepFunctions>();
  for (const [step, given] of definition.functions) {
    functions.set(step, stagedFunctions(step, given, surroundings, underWay));
    // What calls nobody is done when it is written down.
    if (given.run === undefined) surroundings.calls.answered(`do ${step}`);
  }
  return { ...saga, name, hash, definition: { ...definition, functions } };
}

function stagedFunctions(
  step: string,
  given: StepFunctions,
  surroundings: Surroundings,
  underWay: Map<string, number>,
): StepFunctions {
  const { stage, life } = surroundings;
  const { run, undo } = given;
  const staged: { -readonly [K in keyof StepFunctions]: StepFunctions[K] } = { ...given };
  if (run !== undefined) {
    staged.run = (context) => {
      return counted(underWay, step, () => call(surroundings, `do ${step}`, context, () => run(context)));
    };
  }
  if (undo !== undefined) {
    staged.undo = (context) => {
      if ((underWay.get(step) ?? 0) > 0) {
        surroundings.watch.breach(
          `${life.name} undoes ${step} while its own attempt at ${step} is under way`,
        );
      }
      return call(surroundings, `undo ${step}`, context, () => undo(context));
    };
  }
  const { query } = given as { query?: (context: unknown) => unknown };
  if (query !== undefined) {
    const ask = async (context: unknown): Promise<unknown> =>
      stage.participant(life, `ask ${step}`, async () => query(context));
    Object.assign(staged, { query: ask });
  }
  return staged;
}

async function call(
  { stage, watch, calls, life }: Surroundings,
  what: string,
  { key, attempt }: { readonly key: string; readonly attempt: number },
  perform: () => unknown,
): Promise<unknown> {
  if (!calls.sameKey(what, key)) watch.breach(`${what} has another key than before: ${key}`);
  return stage.participant(life, `${what} (attempt ${attempt})`, async () => {
    const answer = await perform();
    calls.answered(what);
    return answer;
  });
}

async function counted<T>(underWay: Map<string, number>, step: string, work: () => Promise<T>): Promise<T> {
  underWay.set(step, (underWay.get(step) ?? 0) + 1);
  try {
    return await work();
  } finally {
    underWay.set(step, underWay.get(step)! - 1);
  }
}
