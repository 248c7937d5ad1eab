import { methodsOption, parseOptions, z } from '../../core/options.ts';
import type { Runtime } from '../../core/runtime.ts';
import type { SagaRecord, SagaStore } from '../../ports/saga-store.ts';

/**
 * What can go wrong at one boundary, which is a call to the store or to a participant:
 * - `crash before`, `crash after`: the process dies before the call, or when it had its effect and was not answered;
 * - `error before`, `answer lost`: the call fails without an effect, or has it and fails;
 * - `late`: the call goes out so late that nobody waits for it any more, and still has its effect;
 * - `zombie`: the process is frozen past its lease, another takes over, and then the call goes out;
 * - `duplicate`: the call to a participant is delivered twice;
 * - `cancel`: somebody cancels the saga at this moment.
 */
export type CrashMatrixFault =
  | 'crash before'
  | 'crash after'
  | 'error before'
  | 'answer lost'
  | 'late'
  | 'zombie'
  | 'duplicate'
  | 'cancel';

/** Every kind of fault, in the order in which they are tried. */
export const crashMatrixFaults: readonly CrashMatrixFault[] = [
  'crash before',
  'crash after',
  'error before',
  'answer lost',
  'late',
  'zombie',
  'duplicate',
  'cancel',
];

/** How one run ended, when everything that was late has come. */
export interface CrashMatrixEnd<Doubles> {
  /** What `setup` made for this run. */
  readonly doubles: Doubles;
  /** Where the saga ended: `completed`, `compensated` or, with a reason, `parked`. */
  readonly status: SagaRecord['status'];
  readonly record: SagaRecord;
  /** What went wrong in this run; give it as `path` to run it again. Empty when nothing did. */
  readonly path: string;
}

/** Options of {@link crashMatrix}. */
export interface CrashMatrixOptions<Input, Doubles> {
  /** Make what the participants of one run work on: fresh in-memory doubles of the services. Called before each run. */
  readonly setup: () => Doubles | Promise<Doubles>;
  /** What the saga is begun with. */
  readonly input: Input;
  /** Signals that somebody sends when the saga has begun. Default: none. */
  readonly signals?: readonly { readonly name: string; readonly payload?: unknown }[] | undefined;
  /** Say what must be true at the end of every run: throw where it is not. */
  readonly check: (end: CrashMatrixEnd<Doubles>) => void | Promise<void>;
  /** Which faults to try. Default: all. */
  readonly faults?: readonly CrashMatrixFault[] | undefined;
  /**
   * Whether each run with a fault is also run with a crash at every later boundary, before it and after it. Default
   * true.
   */
  readonly secondCrash?: boolean | undefined;
  /** Run this one alone: the `path` of a failure. */
  readonly path?: string | undefined;
  /** Make the store of one run. Default: `memorySagaStore`, on the run's virtual time. */
  readonly store?: ((runtime: Partial<Runtime>) => SagaStore) | undefined;
}

/** Checked options. */
export interface MatrixSettings {
  readonly setup: () => unknown;
  readonly input: unknown;
  readonly signals: readonly { readonly name: string; readonly payload?: unknown }[];
  readonly check: (end: CrashMatrixEnd<unknown>) => void | Promise<void>;
  readonly faults: readonly CrashMatrixFault[];
  readonly secondCrash: boolean;
  readonly path?: string | undefined;
  readonly store?: ((runtime: Partial<Runtime>) => SagaStore) | undefined;
}

function functionOption<F>(accepts: string): z.ZodCustom<F, F> {
  return z.custom<F>((value) => typeof value === 'function', { error: accepts });
}

const optionsSchema = z.strictObject({
  setup: functionOption<MatrixSettings['setup']>('a function that makes the doubles of one run'),
  input: z.unknown(),
  signals: z.array(z.strictObject({ name: z.string().min(1), payload: z.unknown().optional() })).default([]),
  check: functionOption<MatrixSettings['check']>('a function that checks the end of one run'),
  faults: z
    .array(z.enum(crashMatrixFaults as [CrashMatrixFault]))
    .min(1)
    .default([...crashMatrixFaults]),
  secondCrash: z.boolean().default(true),
  path: z.string().optional(),
  store: functionOption<NonNullable<MatrixSettings['store']>>(
    'a function that makes a saga store',
  ).optional(),
});

/** @throws InvalidOptionsError naming the field. */
export function parseMatrixOptions(options: unknown): MatrixSettings {
  return parseOptions('crashMatrix', optionsSchema, options) as MatrixSettings;
}

/** @throws InvalidOptionsError when what a `store` function made is none. */
export function assertStore(store: unknown): SagaStore {
  const accepts = methodsOption<SagaStore>('a saga store', 'create', 'update', 'claim');
  return parseOptions('crashMatrix', z.object({ store: accepts }), { store }).store;
}
