import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { resolveRuntime } from '../../src/core/runtime.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

describe('resolveRuntime', () => {
  it('is the system where nothing is given', () => {
    const { clock, random, id, telemetry } = resolveRuntime();
    expect(clock).toBe(systemClock);
    expect(random()).toBeLessThan(1);
    expect(id()).not.toBe(id());
    expect(telemetry).toBeUndefined();
  });

  it('completes the parts that are given; one that is undefined counts as not given', () => {
    const { clock } = testRuntime();
    expect(resolveRuntime({ clock }).clock).toBe(clock);
    expect(resolveRuntime({ clock }).id()).toMatch(/^[0-9a-f-]{36}$/);
    expect(resolveRuntime({ clock: undefined } as never).clock).toBe(systemClock);
  });
});
