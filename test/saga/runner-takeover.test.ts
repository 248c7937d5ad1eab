import { describe, expect, it } from 'vitest';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import { NotRunningError, SagaCompensatedError } from '../../src/core/errors.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';
import { checkout, never, Order, refusal, setup } from './runner-stage.ts';

describe('several runners and crashes', () => {
  it('takes over what a runner that died has left, with the step at its frontier in doubt', async () => {
    const { runtime, store, log } = setup();
    const hanging = checkout(log, { reserve: () => never() });
    const dead = await new SagaRunner({ store, sagas: [hanging], runtime: deaf(runtime) }).start();
    await dead.begin(hanging, { sku: 'a' }, { id: 'd' });
    await runtime.clock.advance(0);
    const shop = checkout(log, { reserve: refusal });
    const sagas = await new SagaRunner({ store, sagas: [shop], runtime, pollInterval: 100 }).start();
    const resumed: string[] = [];
    sagas.on('resumed', ({ id }) => resumed.push(id));
    const ended = sagas.run(shop, { sku: 'a' }, { id: 'd' });
    await expect(runtime.clock.settle(ended)).rejects.toBeInstanceOf(SagaCompensatedError);
    expect(resumed).toEqual(['d']);
    expect(log.slice(3)).toEqual(['reserve', 'undo reserve undefined', 'undo hold {"by":"hold"}']);
  });

  it('leaves sagas of another shape unclaimed', async () => {
    const { runtime, store, log } = setup();
    const shop = checkout(log, { pay: () => never() });
    const old = await new SagaRunner({ store, sagas: [shop], runtime: deaf(runtime) }).start();
    await old.begin(shop, { sku: 'a' }, { id: 'v' });
    await runtime.clock.advance(0);
    const changed = saga('checkout', { input: Order }).pivot('x', () => 1);
    await new SagaRunner({ store, sagas: [changed], runtime }).start();
    await runtime.clock.advance(120_000);
    expect(await store.get('v')).toMatchObject({ status: 'running', epoch: 1 });
  });

  it('drops a saga that another worker has taken, and tells', async () => {
    const { runtime, store, log } = setup();
    let end = (): void => {};
    const signals: AbortSignal[] = [];
    const slow = saga('slow', { input: Order }).pivot('x', ({ signal }) => {
      signals.push(signal);
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    });
    const frozen = new SagaRunner({ store, sagas: [slow], runtime: deaf(runtime), attemptTimeout: '1h' });
    await frozen.start();
    frozen.on('lost', ({ id }) => log.push(`lost ${id}`));
    await frozen.begin(slow, { sku: 'a' }, { id: 'z' });
    await runtime.clock.advance(31_000);
    await store.claim(
      { definitions: [{ saga: 'slow', hash: slow.hash }], limitEach: 1, maxClaims: 10, holding: [] },
      { owner: 'o', ttl: 1e6 },
    );
    end();
    await runtime.clock.advance(0);
    expect(log).toEqual(['lost z']);
    expect((await store.get('z'))?.status).toBe('running');
  });

  it('aborts what it holds when its lease cannot be renewed, and takes it over anew', async () => {
    const runtime = testRuntime();
    const inner = memorySagaStore({ runtime });
    let broken = false;
    const store: SagaStore = {
      ...bound(inner),
      name: 'flaky',
      durability: '',
      heartbeat: (lease) => (broken ? Promise.reject(new Error('unreachable')) : inner.heartbeat(lease)),
      claim: (request, lease) =>
        broken ? Promise.reject(new Error('unreachable')) : inner.claim(request, lease),
    };
    const reasons: unknown[] = [];
    const slow = saga('slow', { input: Order }).pivot(
      'x',
      ({ signal }) =>
        new Promise((resolve, reject) => {
          if (!broken) resolve(1);
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const sagas = await new SagaRunner({
      store,
      sagas: [slow],
      runtime,
      attemptTimeout: '1h',
      lease: '3s',
    }).start();
    const failed: string[] = [];
    sagas.on('storeFailed', ({ operation }) => failed.push(operation));
    sagas.on('lost', () => reasons.push('lost'));
    broken = true;
    await sagas.begin(slow, { sku: 'a' }, { id: 'l' });
    await runtime.clock.advance(3_001);
    expect(reasons).toEqual(['lost']);
    expect(failed).toContain('heartbeat');
    broken = false;
    const ended = sagas.run(slow, { sku: 'a' }, { id: 'l' });
    await expect(runtime.clock.settle(ended)).resolves.toEqual({ x: 1 });
    expect((await inner.get('l'))?.epoch).toBe(2);
  });
});

describe('stopping', () => {
  it('lets the current step be recorded, begins no other, and hands the saga over at once', async () => {
    const { runtime, store, log } = setup();
    let end = (): void => {};
    const shop = checkout(log, {
      hold: () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    });
    const first = await new SagaRunner({ store, sagas: [shop], runtime }).start();
    const waiting = expect(first.run(shop, { sku: 'a' }, { id: 'h' })).rejects.toBeInstanceOf(
      NotRunningError,
    );
    await runtime.clock.advance(0);
    const stopped = first.stop();
    const again = first.stop();
    await expect(first.begin(shop, { sku: 'b' })).rejects.toBeInstanceOf(NotRunningError);
    await runtime.clock.advance(0);
    end();
    await runtime.clock.advance(0);
    await Promise.all([stopped, again]);
    await waiting;
    expect((await store.get('h'))?.steps.map((s) => s.name)).toEqual(['hold']);
    const second = await new SagaRunner({ store, sagas: [shop], runtime }).start();
    await expect(second.run(shop, { sku: 'a' }, { id: 'h' })).resolves.toBeDefined();
    expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'ship']);
    await second.stop();
    expect(runtime.clock.pending).toBe(0);
  });

  it('aborts what does not end in time, and keeps its lease until it runs out', async () => {
    const { runtime, store } = setup();
    const reasons: unknown[] = [];
    const slow = saga('slow', { input: Order }).pivot('x', ({ signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return never();
    });
    const first = await new SagaRunner({ store, sagas: [slow], runtime }).start();
    await first.begin(slow, { sku: 'a' });
    await runtime.clock.advance(0);
    const stopped = first.stop({ timeout: '1s' });
    await runtime.clock.advance(1_000);
    await stopped;
    expect(String(reasons[0])).toMatch(/did not end within 1000 ms/);
    const request = {
      definitions: [{ saga: 'slow', hash: slow.hash }],
      limitEach: 1,
      maxClaims: 10,
      holding: [],
    };
    expect(await store.claim(request, { owner: 'o', ttl: 1 })).toHaveLength(0);
    await runtime.clock.advance(30_000);
    expect(await store.claim(request, { owner: 'o', ttl: 1 })).toHaveLength(1);
  });

  it('lets nobody wait for what never ends, once the timeout of the stop is over', async () => {
    const { runtime, runner } = setup({ capacity: 2 });
    const hung = saga('hung', { input: Order }).pivot('x', () => never<void>());
    const sagas = await runner(hung);
    const waits = [
      sagas.run(hung, { sku: 'a' }, { id: 'h' }),
      sagas.run(hung, { sku: 'a' }, { id: 'h' }),
      sagas.run(hung, { sku: 'a' }, { id: 'k' }),
      sagas.begin(hung, { sku: 'a' }, { id: 'no-room' }),
    ].map((wait) => expect(wait).rejects.toBeInstanceOf(NotRunningError));
    await runtime.clock.advance(0);
    const before = runtime.clock.now();
    const stopped = sagas.stop({ timeout: '1s' });
    await runtime.clock.advance(1_000);
    await stopped;
    await Promise.all(waits);
    expect(runtime.clock.now() - before).toBe(1_000);
    await expect(sagas.run(hung, { sku: 'a' }, { id: 'h' })).rejects.toBeInstanceOf(NotRunningError);
  });

  it('is refused before start, survives a stop before start, and waits for a start under way', async () => {
    const { runtime, store, log } = setup();
    const shop = checkout(log);
    const idle = new SagaRunner({ store, sagas: [shop], runtime });
    await expect(idle.run(shop, { sku: 'a' })).rejects.toThrow('call `await start()` first');
    await idle.stop();
    await expect(idle.start()).rejects.toBeInstanceOf(NotRunningError);
    const quick = new SagaRunner({ store, sagas: [shop], runtime });
    await Promise.all([quick.start(), quick.stop()]);
    expect(runtime.clock.pending).toBe(0);
  });
});

/** A runtime whose timers never fire: a process that is frozen or dead, as the others see it. */
function deaf(runtime: TestRuntime): TestRuntime {
  const { clock } = runtime;
  const still = { now: () => 0, wallTime: () => clock.wallTime(), schedule: () => ({ cancel() {} }) };
  return { ...runtime, clock: still as never };
}

function bound(store: SagaStore): SagaStore {
  const methods = [
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
    'close',
  ] as const;
  return Object.fromEntries(methods.map((m) => [m, store[m].bind(store)])) as unknown as SagaStore;
}
