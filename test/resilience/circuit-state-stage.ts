import { expect } from 'vitest';
import { constant } from '../../src/core/backoff.ts';
import { CircuitMachine } from '../../src/resilience/circuit-state.ts';
import type { CircuitSettings } from '../../src/resilience/circuit-types.ts';

export const outside = { random: () => 0.5, wallTime: () => 0 };

const settings: CircuitSettings = {
  window: { calls: 10 },
  failureRate: 0.5,
  slowRate: 0.5,
  slowThreshold: Number.POSITIVE_INFINITY,
  minimumCalls: 4,
  consecutiveFailures: Number.POSITIVE_INFINITY,
  openFor: constant(1_000),
  maxRetryAfter: 60_000,
  probes: 3,
  early: false,
  failFast: false,
  maxWait: 30_000,
  warmUp: 0,
  latency: undefined,
};

/** A machine at a time that the test moves by hand. */
export class Bench {
  now = 0;
  readonly machine: CircuitMachine;
  readonly changes: string[] = [];

  constructor(overrides: Partial<CircuitSettings> = {}) {
    this.machine = new CircuitMachine({ ...settings, ...overrides });
  }

  settle(failed: boolean, options: { duration?: number; generation?: number; cause?: unknown } = {}) {
    const { duration = 1, generation = this.machine.generation, cause } = options;
    const change = this.machine.record(generation, this.now, duration, failed, cause, outside);
    if (change !== undefined) this.changes.push(change.type);
    return change;
  }

  /** `'.'` is a success, `'x'` a failure. */
  play(outcomes: string): void {
    for (const outcome of outcomes) this.settle(outcome === 'x');
  }

  /** Open it and wait until probes may pass. */
  halfOpen(): void {
    this.machine.trip(this.now, undefined, outside);
    this.now += 1_000;
    this.machine.refresh(this.now);
  }

  probe(outcome: string): void {
    expect(this.machine.admit()).toBe('probe');
    this.settle(outcome === 'x');
  }
}
