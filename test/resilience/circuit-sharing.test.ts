import { describe, expect, it, vi } from 'vitest';
import { memoryCircuitStore } from '../../src/adapters/memory/circuit-store.ts';
import { InvalidOptionsError, NotRunningError } from '../../src/core/errors.ts';
import type { CircuitNotice, CircuitStore } from '../../src/ports/circuit-store.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { CircuitBreakers } from '../../src/resilience/circuit-breakers.ts';
import { CircuitSharing, type CircuitSharingOptions } from '../../src/resilience/circuit-sharing.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';
import { flush, never } from './support.ts';

let origins = 0;

/** A breaker in a process of its own, with a sharing that listens already. */
async function sibling(
  store: CircuitStore,
  runtime: TestRuntime,
  options: Partial<CircuitSharingOptions> = {},
): Promise<{ breaker: CircuitBreaker; sharing: CircuitSharing; fail: (times: number) => Promise<void> }> {
  origins += 1;
  const origin = `process-${origins}`;
  const breaker = new CircuitBreaker({
    name: 'payments',
    minimumCalls: 4,
    openFor: 10_000,
    halfOpen: { permits: 1 },
    runtime,
  });
  const sharing = new CircuitSharing({ store, runtime: { ...runtime, id: () => origin }, ...options });
  await sharing.add(breaker).start();
  const fail = async (times: number): Promise<void> => {
    for (let call = 0; call < times; call += 1) {
      await breaker.run(() => Promise.reject(new Error('down'))).catch(() => {});
    }
  };
  return { breaker, sharing, fail };
}

function stage(): { readonly runtime: TestRuntime; readonly store: CircuitStore } {
  const runtime = testRuntime();
  return { runtime, store: memoryCircuitStore({ runtime }) };
}

describe('CircuitSharing', () => {
  it('siblings open with the one that found out, for what is left of its wait, and say why', async () => {
    const { runtime, store } = stage();
    const [a, b] = [await sibling(store, runtime), await sibling(store, runtime)];
    const reasons: string[] = [];
    b.breaker.on('opened', ({ reason, wait }) => reasons.push(`${reason} ${wait}`));
    await a.fail(4);
    await flush();
    expect(b.breaker.state).toBe('open');
    expect(reasons).toEqual(['shared 10000']);
    expect(b.breaker.explain()).toContain('a sibling in another process had opened');
  });

  it('one who comes later opens, too, for what is left then', async () => {
    const { runtime, store } = stage();
    const a = await sibling(store, runtime);
    await a.fail(4);
    await runtime.clock.advance(4_000);
    const late = await sibling(store, runtime);
    expect(late.breaker.metrics).toMatchObject({ state: 'open', retryAfter: 6_000 });
  });

  it('what a breaker heard from a sibling it does not tell on', async () => {
    const { runtime, store } = stage();
    const published: CircuitNotice[] = [];
    const listening: CircuitStore = {
      ...store,
      publish: (notice) => {
        published.push(notice);
        return store.publish(notice);
      },
    };
    const [a, b] = [await sibling(listening, runtime), await sibling(listening, runtime)];
    await a.fail(4);
    await flush();
    expect(b.breaker.state).toBe('open');
    expect(published).toHaveLength(1);
  });

  it('once the one that found out has closed, siblings probe at once, for themselves', async () => {
    const { runtime, store } = stage();
    const [a, b] = [await sibling(store, runtime), await sibling(store, runtime)];
    await a.fail(4);
    await flush();
    a.breaker.endWait();
    await a.breaker.run(() => 'ok');
    await flush();
    expect([a.breaker.state, b.breaker.state]).toEqual(['closed', 'half-open']);
    await b.breaker.run(() => 'ok');
    expect(b.breaker.state).toBe('closed');
  });

  it('a sibling that found out for itself waits for itself', async () => {
    const { runtime, store } = stage();
    const [a, b] = [await sibling(store, runtime), await sibling(store, runtime)];
    await b.fail(4);
    await a.fail(4);
    await flush();
    a.breaker.reset();
    await flush();
    expect(b.breaker.state).toBe('open');
  });

  it('an old story that is told again does not open what was reset by hand', async () => {
    const { runtime, store } = stage();
    const told = new Set<(notice: CircuitNotice) => void>();
    const repeating: CircuitStore = {
      ...store,
      watch: (listener) => {
        told.add(listener);
        return () => {};
      },
    };
    const b = await sibling(repeating, runtime);
    const until = runtime.clock.wallTime() + 5_000;
    const notice = {
      breaker: 'payments',
      origin: 'x',
      state: 'open',
      until,
      wait: 5_000,
      reason: '',
    } as const;
    for (const listener of told) listener(notice);
    b.breaker.reset();
    for (const listener of told) listener(notice);
    expect(b.breaker.state).toBe('closed');
    for (const listener of told) listener({ ...notice, until: until + 1 });
    expect(b.breaker.state).toBe('open');
  });

  it('lowers thresholds instead, if told so, for that time only', async () => {
    const { runtime, store } = stage();
    const a = await sibling(store, runtime);
    const b = await sibling(store, runtime, { reaction: 'lower', factor: 0.5 });
    await a.fail(4);
    await flush();
    expect(b.breaker.state).toBe('closed');
    await b.fail(2);
    expect(b.breaker.state).toBe('open');
    b.breaker.reset();
    await runtime.clock.advance(10_000);
    await b.fail(3);
    expect(b.breaker.state).toBe('closed');
  });

  it('a forced breaker obeys nobody else', async () => {
    const { runtime, store } = stage();
    const [a, b] = [await sibling(store, runtime), await sibling(store, runtime)];
    const heeded = vi.fn();
    b.sharing.on('heeded', heeded);
    b.breaker.force('metrics-only');
    await a.fail(4);
    await flush();
    expect(b.breaker.state).toBe('metrics-only');
    expect(heeded).not.toHaveBeenCalled();
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('gone'))],
    [
      'throws',
      () => {
        throw new Error('gone');
      },
    ],
    ['hangs', never],
  ] as const)('a store that %s changes nothing for the breaker itself', async (_how, publish) => {
    const { runtime } = stage();
    const dead: CircuitStore = { name: 'dead', publish, watch: () => () => {}, close: async () => {} };
    const a = await sibling(dead, runtime);
    const failed: unknown[] = [];
    a.sharing.on('tellingFailed', ({ error }) => failed.push(error));
    await a.fail(4);
    await flush();
    expect(a.breaker.state).toBe('open');
    expect(failed).toHaveLength(publish === never ? 0 : 1);
    await runtime.clock.advance(10_000);
    await expect(a.breaker.run(() => 'ok')).resolves.toBe('ok');
  });

  it('shares keyed breakers key by key, those made later included', async () => {
    const { runtime, store } = stage();
    const make = async (id: string): Promise<CircuitBreakers> => {
      const breakers = new CircuitBreakers({ name: 'hosts', minimumCalls: 1, capacity: 2, runtime });
      await new CircuitSharing({ store, runtime: { ...runtime, id: () => id } }).add(breakers).start();
      return breakers;
    };
    const [a, b] = [await make('a'), await make('b')];
    const known = b.for('x');
    for (const key of ['x', 'y']) await a.run(key, () => Promise.reject(new Error('down'))).catch(() => {});
    await flush();
    expect([known.state, b.for('y').state, b.for('z').state]).toEqual(['open', 'open', 'closed']);
  });

  it('stopped, it neither tells nor listens, and leaves the breakers as they are', async () => {
    const { runtime, store } = stage();
    const [a, b] = [await sibling(store, runtime), await sibling(store, runtime)];
    await b.sharing.stop();
    await b.sharing.stop();
    await a.fail(4);
    await flush();
    expect(b.breaker.state).toBe('closed');
    await expect(b.sharing.start()).rejects.toBeInstanceOf(NotRunningError);
    expect(runtime.clock.pending).toBe(0);
  });

  it.each([{ store: {} }, { factor: 1 }, { factor: 0 }, { reaction: 'close' }, { other: 1 }])(
    'refuses %j',
    (options) => {
      const { store } = stage();
      expect(() => new CircuitSharing({ store, ...options } as never)).toThrow(InvalidOptionsError);
    },
  );
});
