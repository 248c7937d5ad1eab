import type { Runtime, Telemetry, TelemetryEvent } from '../core/runtime.ts';
import { ManualClock } from './manual-clock.ts';

/** A runtime in which nothing is left to chance. */
export interface TestRuntime extends Runtime {
  readonly clock: ManualClock;
  readonly telemetry: Telemetry;
  /** Every event that was recorded, in order. */
  readonly events: readonly TelemetryEvent[];
  /** The seed that `random` and `id` came from; print it when a test fails. */
  readonly seed: number;
}

/** Options of {@link testRuntime}. */
export interface TestRuntimeOptions {
  /** Equal seeds give equal numbers and ids. Default 1. */
  readonly seed?: number;
  /** Wall time at the start, in milliseconds since 1970. Default 2030-01-01T00:00:00Z. */
  readonly wallTime?: number;
}

/** Virtual time, seeded randomness, counted ids (`id-1`, `id-2` …) and recorded telemetry, for tests. */
export function testRuntime(options: TestRuntimeOptions = {}): TestRuntime {
  const seed = options.seed ?? 1;
  const events: TelemetryEvent[] = [];
  let ids = 0;
  return {
    clock: new ManualClock(options.wallTime),
    random: seededRandom(seed),
    id: () => {
      ids += 1;
      return `id-${ids}`;
    },
    telemetry: { record: (event) => void events.push(event) },
    events,
    seed,
  };
}

/** A seeded generator of numbers in [0, 1): mulberry32 (Tommy Ettinger, public domain). Not for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
