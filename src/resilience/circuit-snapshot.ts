import { parseOptions, z } from '../core/options.ts';
import type { Slice } from '../core/window.ts';
import type { MachineState, TripReason } from './circuit-types.ts';

/**
 * What a breaker knows, as JSON can hold it: for a process that is frozen or replaced and whose successor should not
 * have to learn anew that a dependency is down.
 */
export interface CircuitSnapshot {
  /** The format; another one is refused. */
  readonly version: 1;
  /** When it was taken, in milliseconds since 1970. */
  readonly at: number;
  /** A half-open breaker is told as open with its wait over. */
  readonly state: 'closed' | 'open' | 'forced-open' | 'disabled' | 'metrics-only';
  /** Milliseconds, then, until a call might pass. */
  readonly wait: number;
  /** How often it had opened since it was last closed. */
  readonly openings: number;
  /** How many failures in a row came last. */
  readonly consecutiveFailures: number;
  /** What opened it. */
  readonly reason?: TripReason | undefined;
  /** The recorded outcomes, oldest first, with their age then in milliseconds. */
  readonly window: readonly Slice[];
}

const count = z.int().min(0);
const length = z.number().min(0);

const schema = z.strictObject({
  version: z.literal(1),
  at: z.number(),
  state: z.enum(['closed', 'open', 'forced-open', 'disabled', 'metrics-only']),
  wait: length,
  openings: count,
  consecutiveFailures: count,
  reason: z
    .enum([
      'failure-rate',
      'slow-rate',
      'consecutive-failures',
      'first-failure',
      'probe-expired',
      'manual',
      'shared',
    ])
    .optional(),
  window: z.array(
    z
      .strictObject({ age: length, calls: count.max(2 ** 32 - 1), failures: count, slow: count })
      .refine(({ calls, failures, slow }) => failures <= calls && slow <= calls, {
        error: 'no more failures or slow calls than calls',
      }),
  ),
});

/** What a machine exported, at this wall time. */
export function toSnapshot(exported: MachineState, wallTime: number): CircuitSnapshot {
  const { state, wait, openings, consecutive, reason, slices } = exported;
  const opened = reason === undefined ? {} : { reason };
  return {
    version: 1,
    at: wallTime,
    state,
    wait,
    openings,
    consecutiveFailures: consecutive,
    ...opened,
    window: slices,
  };
}

/**
 * What a machine can take up now: time has gone on since the snapshot was taken. A wall clock that went back makes
 * nothing longer.
 *
 * @throws InvalidOptionsError naming each field that is wrong.
 */
export function fromSnapshot(snapshot: CircuitSnapshot, wallTime: number): MachineState {
  const parsed = parseOptions('CircuitSnapshot', schema, snapshot);
  const elapsed = Math.max(0, wallTime - parsed.at);
  return {
    state: parsed.state,
    wait: Math.max(0, parsed.wait - elapsed),
    openings: parsed.openings,
    consecutive: parsed.consecutiveFailures,
    reason: parsed.reason,
    slices: parsed.window.map((slice) => ({ ...slice, age: slice.age + elapsed })),
  };
}
