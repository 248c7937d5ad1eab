import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { type ChaosOptions, chaos } from '../../src/resilience/chaos.ts';
import { pipeline } from '../../src/resilience/pipeline.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

function disturbed(options: ChaosOptions = {}) {
  const runtime = testRuntime({ seed: 5 });
  const policy = chaos({ enabled: true, runtime, ...options });
  const kinds: string[] = [];
  policy.on('injected', ({ kind }) => kinds.push(kind));
  return { runtime, policy, kinds };
}

const all: ChaosOptions = {
  latency: { probability: 1, delay: '1s' },
  error: { probability: 1 },
  hang: { probability: 1 },
};

describe('chaos', () => {
  it('does nothing unless it is enabled', async () => {
    for (const enabled of [false, () => false, undefined]) {
      const { runtime, kinds } = disturbed();
      await expect(chaos({ ...all, enabled, runtime }).run(() => 1)).resolves.toBe(1);
      expect(kinds).toEqual([]);
    }
  });

  it('asks its switch at each call; one that throws is off', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    let on = false;
    const { policy } = disturbed({ enabled: () => on, error: { probability: 1 } });
    await expect(policy.run(() => 1)).resolves.toBe(1);
    on = true;
    await expect(policy.run(() => 1)).rejects.toThrow('injected');
    const broken = disturbed({ ...all, enabled: () => JSON.parse('{') });
    await expect(broken.policy.run(() => 1)).resolves.toBe(1);
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it('makes calls late, by the clock', async () => {
    const { policy, runtime, kinds } = disturbed({ latency: { probability: 1, delay: '1s' } });
    await expect(runtime.clock.settle(policy.run(() => runtime.clock.now()))).resolves.toBe(1_000);
    expect(kinds).toEqual(['latency']);
  });

  it('makes calls fail in place of the work', async () => {
    const { policy } = disturbed({ name: 'billing', error: { probability: 1 } });
    const work = vi.fn();
    await expect(policy.run(work)).rejects.toMatchObject({ code: 'HOLDFAST_UPSTREAM', retryable: true });
    expect(work).not.toHaveBeenCalled();
    const own = disturbed({ error: { probability: 1, make: () => new RangeError('mine') } });
    await expect(own.policy.run(work)).rejects.toThrow(RangeError);
  });

  it('lets calls hang until their signal aborts', async () => {
    const { policy, runtime } = disturbed({ hang: { probability: 1 } });
    const call = expect(pipeline(timeout('1s', { runtime }), policy).run(() => 1)).rejects.toThrow('1000 ms');
    await runtime.clock.advance(1_000);
    await call;
    expect(runtime.clock.pending).toBe(0);
  });

  it('strikes about as often as it says (seed 5)', async () => {
    const { policy, kinds } = disturbed({ error: { probability: 0.3 } });
    for (let call = 0; call < 2_000; call += 1) await policy.run(() => 1).catch(() => {});
    expect(kinds.length / 2_000).toBeCloseTo(0.3, 1);
  });

  it('never strikes at 0, always at 1', async () => {
    const { policy, kinds } = disturbed({ error: { probability: 0 } });
    for (let call = 0; call < 100; call += 1) await policy.run(() => 1);
    expect(kinds).toEqual([]);
  });

  it.each([
    { enabled: 'yes' },
    { error: {} },
    { error: { probability: 1.5 } },
    { latency: { probability: 1 } },
    { hang: { probability: -1 } },
    { kill: {} },
  ])('refuses %o', (options) => {
    expect(() => chaos(options as never)).toThrow(InvalidOptionsError);
  });
});
