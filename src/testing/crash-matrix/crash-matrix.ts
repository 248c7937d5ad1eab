import { CrashMatrixError } from '../../core/errors.ts';
import type { SagaRecord } from '../../ports/saga-store.ts';
import type { Saga } from '../../saga/saga-phases.ts';
import {
  type CrashMatrixFault,
  type CrashMatrixOptions,
  type MatrixSettings,
  parseMatrixOptions,
} from './matrix-options.ts';
import { OneRun, type RunOutcome } from './one-run.ts';
import { parsePath, type ScriptedFault } from './script.ts';
import type { Boundary } from './stage.ts';

/** What a crash matrix did. */
export interface CrashMatrixReport {
  /** How often the saga was run. */
  readonly runs: number;
  /** Calls to the store and to participants in the run in which nothing goes wrong. */
  readonly boundaries: number;
  /** In how many runs each fault came. */
  readonly faults: Readonly<Partial<Record<CrashMatrixFault, number>>>;
  /** In how many runs the saga ended so. */
  readonly ends: Readonly<Partial<Record<SagaRecord['status'], number>>>;
}

/**
 * Run a saga again and again on virtual time, with the real runner and two workers, and let something else go wrong each
 * time: at every call to the store and to a participant every fault, and after each of them a crash at every later call.
 * Whatever happens, each run must end completed, compensated or parked with a reason, the journal must be true and in
 * one direction, and `check` must hold.
 *
 * @param saga the saga, or a function that builds it around the doubles of one run
 * @example
 * await crashMatrix((shop) => checkout(shop.stock, shop.payments), {
 *   setup: () => ({ stock: new FakeStock(1), payments: new FakePayments() }),
 *   input: { sku: 'kelp', price: 5 },
 *   check: ({ status, doubles: { stock, payments } }) => {
 *     assert.equal(payments.total, status === 'completed' ? 5 : 0);
 *     assert.equal(stock.left, status === 'completed' ? 0 : 1);
 *   },
 * });
 *
 * @throws CrashMatrixError at the first run that fails: with what was wrong, the `path` that replays it, and what
 * happened in it line by line.
 * @throws InvalidOptionsError naming the field.
 */
export async function crashMatrix<Input, Results, Doubles>(
  saga: Saga<Input, Results> | ((doubles: Doubles) => Saga<Input, Results>),
  options: CrashMatrixOptions<Input, Doubles>,
): Promise<CrashMatrixReport> {
  const settings = parseMatrixOptions(options);
  const matrix = new Matrix(saga as Saga | ((doubles: unknown) => Saga), settings);
  if (settings.path === undefined) await matrix.all();
  else await matrix.run(parsePath(settings.path));
  return matrix.report();
}

class Matrix {
  readonly #saga: Saga | ((doubles: unknown) => Saga);
  readonly #settings: MatrixSettings;
  readonly #faults: Map<CrashMatrixFault, number> = new Map();
  readonly #ends: Map<SagaRecord['status'], number> = new Map();
  #runs = 0;
  #boundaries = 0;

  constructor(saga: Saga | ((doubles: unknown) => Saga), settings: MatrixSettings) {
    this.#saga = saga;
    this.#settings = settings;
  }

  report(): CrashMatrixReport {
    return {
      runs: this.#runs,
      boundaries: this.#boundaries,
      faults: Object.fromEntries(this.#faults),
      ends: Object.fromEntries(this.#ends),
    };
  }

  /** The simple runs first, so that what fails first is as simple as can be. */
  async all(): Promise<void> {
    const { boundaries } = await this.run([]);
    const single: { readonly first: ScriptedFault; readonly later: readonly Boundary[] }[] = [];
    for (const boundary of boundaries) {
      for (const fault of this.#settings.faults) {
        if (!mayMeet(fault, boundary)) continue;
        const first = { boundary: boundary.number, fault };
        const outcome = await this.run([first]);
        single.push({ first, later: outcome.boundaries.slice(first.boundary) });
      }
    }
    if (!this.#settings.secondCrash) return;
    for (const { first, later } of single) {
      for (const { number: boundary } of later) {
        await this.run([first, { boundary, fault: 'crash before' }]);
        await this.run([first, { boundary, fault: 'crash after' }]);
      }
    }
  }

  /** @throws CrashMatrixError when something was wrong. */
  async run(script: readonly ScriptedFault[]): Promise<RunOutcome> {
    const doubles = await this.#settings.setup();
    const saga = typeof this.#saga === 'function' ? this.#saga(doubles) : this.#saga;
    const outcome = await new OneRun(saga, this.#settings, script).play(doubles);
    this.#runs += 1;
    if (script.length === 0) this.#boundaries = outcome.boundaries.length;
    for (const { fault } of script) this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
    const { status, breaches, path, trace } = outcome;
    if (status !== undefined) this.#ends.set(status, (this.#ends.get(status) ?? 0) + 1);
    if (breaches.length > 0) throw new CrashMatrixError(saga.name, breaches, path, trace);
    return outcome;
  }
}

function mayMeet(fault: CrashMatrixFault, { participant }: Boundary): boolean {
  return participant || fault !== 'duplicate';
}
