import { type Backoff, exponential } from '../core/backoff.ts';
import type { Duration } from '../core/duration.ts';
import {
  durationOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { SagaStore } from '../ports/saga-store.ts';
import type { Saga } from './saga-phases.ts';

/** How often and how fast something is tried again. */
export interface SagaRetryOptions {
  /** Rounds before the saga is parked. Default 100, which is about 45 minutes with the other defaults. */
  readonly attempts?: number | undefined;
  /** The wait after the first round, before jitter. Default 200 ms; it doubles each time. */
  readonly base?: Duration | undefined;
  /** The longest wait, before jitter. Default 1 minute. */
  readonly max?: Duration | undefined;
}

/** Options of {@link SagaRunner}. */
export interface SagaRunnerOptions {
  /** Where sagas are written down. Several runners, in several processes, may share one. It is not closed by `stop`. */
  readonly store: SagaStore;
  /** The sagas that this runner can run; at least one. Those of other names or shapes are left for other runners. */
  readonly sagas: readonly Saga[];
  /** For telemetry. Default `sagas`. */
  readonly name?: string | undefined;
  /** How many steps run at once. Default 64. They are given to the definitions in turn. */
  readonly concurrency?: number | undefined;
  /**
   * How many sagas it holds at once: those under way, those that wait for a free step and those that wait for their next
   * try, but none that waits for a time or a signal. `begin` waits for room. Default 10,000.
   */
  readonly capacity?: number | undefined;
  /** The most bytes of JSON that an input, a result or a signal may have. Default 1 MiB. */
  readonly maxPayload?: number | undefined;
  /** A saga that was claimed this many times without any progress is parked: it may kill its process. Default 10. */
  readonly maxClaims?: number | undefined;
  /**
   * How long sagas stay with a runner that does not answer any more; then others take them over. Renewed at a third of
   * it. Default 30 seconds; at least 50 ms.
   */
  readonly lease?: Duration | undefined;
  /** How often to look for sagas that a crash left behind, and for the end of sagas that run elsewhere. Default 1 s. */
  readonly pollInterval?: Duration | undefined;
  /** The longest that one attempt at a step or an undo may take unless its step says otherwise. Default 1 minute. */
  readonly attemptTimeout?: Duration | undefined;
  /** How long an attempt that was given up may take to end before its saga is parked. Default 30 seconds. */
  readonly settleTimeout?: Duration | undefined;
  /** Of a pivot in doubt, of steps after the pivot and of undos. */
  readonly retry?: SagaRetryOptions | undefined;
  /** Time, randomness, ids and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Checked options, durations in milliseconds. */
export interface SagaRunnerSettings {
  readonly store: SagaStore;
  readonly sagas: readonly Saga[];
  readonly name: string;
  readonly concurrency: number;
  readonly capacity: number;
  readonly maxPayload: number;
  readonly maxClaims: number;
  readonly lease: number;
  readonly pollInterval: number;
  readonly attemptTimeout: number;
  readonly settleTimeout: number;
  readonly retry: { readonly maxRounds: number; readonly backoff: Backoff };
  readonly runtime?: Partial<Runtime> | undefined;
}

const storeMethods = [
  'start',
  'create',
  'update',
  'request',
  'claim',
  'take',
  'heartbeat',
  'release',
  'get',
  'list',
  'census',
  'purge',
];

const sagaOption = z.custom<Saga>(
  (value) => (value as Partial<Saga> | null | undefined)?.definition?.plan !== undefined,
  { error: "a saga, made by saga('name', …)" },
);

const optionsSchema: z.ZodType<SagaRunnerSettings> = z.strictObject({
  store: methodsOption<SagaStore>('a saga store, such as memorySagaStore()', ...storeMethods),
  sagas: z
    .array(sagaOption)
    .min(1)
    .refine((sagas) => sagas.every((s) => s.definition.plan.steps.length > 0), {
      error: 'sagas with at least one step',
    })
    .refine((sagas) => new Set(sagas.map((s) => `${s.name} ${s.hash}`)).size === sagas.length, {
      error: 'each saga once',
    }),
  name: nameOption().default('sagas'),
  concurrency: z.int().min(1).max(10_000).default(64),
  capacity: z.int().min(1).max(1_000_000).default(10_000),
  maxPayload: z.int().min(1).default(1_048_576),
  maxClaims: z.int().min(1).default(10),
  lease: durationOption(50).default(30_000),
  pollInterval: durationOption(1).default(1_000),
  attemptTimeout: durationOption(1).default(60_000),
  settleTimeout: durationOption(1).default(30_000),
  retry: z
    .strictObject({
      attempts: z.int().min(1).default(100),
      base: durationOption(1).default(200),
      max: durationOption(1).default(60_000),
    })
    .prefault({})
    .transform(({ attempts, base, max }) => ({ maxRounds: attempts, backoff: exponential({ base, max }) })),
  runtime: runtimeOption(),
});

/** @throws InvalidOptionsError naming the field. */
export function parseRunnerOptions(options: SagaRunnerOptions): SagaRunnerSettings {
  return parseOptions('SagaRunner', optionsSchema, options);
}

/** What an id may be, for messages. */
export const sagaIdAccepts = 'an id of 1 to 200 visible ASCII characters without spaces';

const sagaId = /^[\x21-\x7e]{1,200}$/;

/** Whether it may be an id: it stands in headers and messages. */
export function isSagaId(value: unknown): value is string {
  return typeof value === 'string' && sagaId.test(value);
}

/** An id of a saga, or of something asked of one. */
export const sagaIdOption: z.ZodString = z.string().regex(sagaId, { error: sagaIdAccepts });
