import { describe, expect, it } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { NoInstanceError, TimeoutError } from '../../src/core/errors.ts';
import { type Policy, type RunOptions, type Work, wrapWith } from '../../src/core/policy.ts';
import type { BalanceStrategy } from '../../src/discovery/balance/balancer.ts';
import { ServiceRegistry } from '../../src/discovery/service-registry.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';
import { instance } from './balance-simulation.ts';

/** Takes instances in order of id, and writes down what it is told. */
function recording(): BalanceStrategy & { readonly learnt: string[]; inFlight: () => number } {
  const learnt: string[] = [];
  let seen: readonly { readonly inFlight: number }[] = [];
  return {
    name: 'recording',
    learnt,
    inFlight: () => seen.reduce((sum, each) => sum + each.inFlight, 0),
    create: () => ({
      admit: () => undefined,
      choose: (endpoints) => {
        seen = endpoints;
        return endpoints[0]!;
      },
      learn: (endpoint, outcome, latency) => learnt.push(`${endpoint.instance.id} ${outcome} ${latency}`),
    }),
  };
}

async function begin(...ids: string[]): Promise<{
  runtime: TestRuntime;
  balance: ReturnType<typeof recording>;
  registry: ServiceRegistry;
}> {
  const runtime = testRuntime();
  const backend = memoryRegistry({ runtime });
  for (const id of ids) await backend.register(instance(id), { ttl: Number.POSITIVE_INFINITY });
  const balance = recording();
  const registry = await new ServiceRegistry({ backend, runtime, balance }).start();
  return { runtime, balance, registry };
}

/** Three attempts at once, one after the other. */
const thrice: Policy = {
  async run<T>(work: Work<T>, options: RunOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work({
          signal: options.signal ?? new AbortController().signal,
          attempt,
          deadline: undefined,
        });
      } catch (error) {
        if (attempt === 3) throw error;
      }
    }
  },
  wrap: (work) => wrapWith(thrice, work),
};

describe('Service.run', () => {
  it('calls one instance and reports how it went and how long it took', async () => {
    const { runtime, balance, registry } = await begin('a');
    const service = registry.service('orders');
    const call = service.run(async (target) => {
      await runtime.clock.advance(30);
      return target.id;
    });
    expect(await call).toBe('a');
    expect(await service.run(() => 7)).toBe(7);
    const failing = service.run(() => {
      throw new RangeError('broken');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(balance.learnt).toEqual(['a success 30', 'a success 0', 'a failure 0']);
    expect(balance.inFlight()).toBe(0);
  });

  it('does not hold it against the instance that the caller gave up, and frees it at once', async () => {
    const { runtime, balance, registry } = await begin('a');
    const controller = new AbortController();
    const call = registry.service('orders').run(() => new Promise(() => {}), { signal: controller.signal });
    const gaveUp = expect(call).rejects.toThrow('gone');
    await runtime.clock.advance(10);
    expect(balance.inFlight()).toBe(1);
    controller.abort(new Error('gone'));
    await gaveUp;
    expect(balance.inFlight()).toBe(0);
    expect(balance.learnt).toEqual([]);
  });

  it('holds a timeout against the instance, also when the work ignores its signal', async () => {
    const { runtime, balance, registry } = await begin('a');
    const call = registry.service('orders').run(() => new Promise(() => {}), { timeout: '1s' });
    const late = expect(call).rejects.toBeInstanceOf(TimeoutError);
    await runtime.clock.advance(1_000);
    await late;
    expect(balance.learnt).toEqual(['a failure 1000']);
    expect(balance.inFlight()).toBe(0);
  });

  it('tries another instance with each attempt of a policy, and the same again when none is left', async () => {
    const { balance, registry } = await begin('a', 'b');
    const tried: string[] = [];
    const call = registry.service('orders').run(
      (target, { attempt }) => {
        tried.push(`${attempt} ${target.id}`);
        throw new Error('down');
      },
      { policy: thrice },
    );
    await expect(call).rejects.toThrow('down');
    expect(tried).toEqual(['1 a', '2 b', '3 a']);
    expect(balance.learnt).toEqual(['a failure 0', 'b failure 0', 'a failure 0']);
  });

  it('lets the user say which errors speak against the instance', async () => {
    const { balance, registry } = await begin('a');
    const service = registry.service('orders');
    const refuse = (): never => {
      throw new Error('refused');
    };
    await expect(service.run(refuse, { isFailure: () => false })).rejects.toThrow('refused');
    const broken = service.run(refuse, {
      isFailure: () => {
        throw new Error('bug');
      },
    });
    await expect(broken).rejects.toThrow('bug');
    expect(balance.learnt).toEqual(['a success 0', 'a failure 0']);
    expect(balance.inFlight()).toBe(0);
  });

  it('does not call when there is no instance, or when the caller has gone before there was', async () => {
    const { registry } = await begin();
    const calls: string[] = [];
    const call = registry.service('orders').run((target) => calls.push(target.id));
    await expect(call).rejects.toBeInstanceOf(NoInstanceError);
    const other = await begin('a');
    const gone = other.registry
      .service('orders')
      .run((target) => calls.push(target.id), { signal: AbortSignal.abort(new Error('gone')) });
    await expect(gone).rejects.toThrow('gone');
    await other.runtime.clock.advance(10);
    expect(calls).toEqual([]);
    expect(other.balance.inFlight()).toBe(0);
  });
});
