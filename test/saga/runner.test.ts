import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import { withCallContext } from '../../src/core/ambient.ts';
import {
  CircuitOpenError,
  InvalidOptionsError,
  InvalidPayloadError,
  NotRunningError,
  SagaCompensatedError,
  SagaConflictError,
  SagaParkedError,
  UnknownSagaError,
} from '../../src/core/errors.ts';
import { Call, type Policy } from '../../src/core/policy.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { timeout } from '../../src/resilience/timeout.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import type { SagaRunnerOptions } from '../../src/saga/runner-options.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import type { Saga } from '../../src/saga/saga-types.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

const Order = z.object({ sku: z.string(), count: z.number().default(1) });
const never = <T>(): Promise<T> => new Promise(() => {});

interface Setup {
  readonly runtime: TestRuntime;
  readonly store: SagaStore;
  readonly log: string[];
  readonly runner: (...sagas: Saga[]) => Promise<SagaRunner>;
}

function setup(options: Partial<SagaRunnerOptions> = {}): Setup {
  const runtime = testRuntime();
  const store = options.store ?? memorySagaStore({ runtime });
  const log: string[] = [];
  const runner = (...sagas: Saga[]): Promise<SagaRunner> =>
    new SagaRunner({ ...options, store, sagas, runtime }).start();
  return { runtime, store, log, runner };
}

/** hold and tax, then pay, then ship; `script` says what each one does. */
function checkout(log: string[], script: Record<string, (key: string) => unknown> = {}, policy?: Policy) {
  const act = (name: string, key: string): unknown => {
    log.push(name);
    return script[name]?.(key) ?? { by: name };
  };
  return saga('checkout', { input: Order })
    .step('hold', ({ key }) => act('hold', key), {
      undo: ({ key, result }) => act(`undo hold ${JSON.stringify(result)}`, key),
      policy,
    })
    .step('tax', ({ key }) => act('tax', key), { undo: 'nothing' })
    .step('reserve', ({ key }) => act('reserve', key), {
      undo: ({ key, result }) => act(`undo reserve ${JSON.stringify(result)}`, key),
      policy,
    })
    .pivot('pay', ({ key }) => act('pay', key), { policy })
    .step('ship', ({ key }) => act('ship', key), { policy });
}

const refusal = (): never => refuse('no');
const failure = (): never => {
  throw new Error('reset');
};

describe('a saga that goes forward', () => {
  it('does its steps in order, each with what came before, and gives all results', async () => {
    const { runner } = setup();
    const sum = saga('sum', { input: Order })
      .step('one', ({ input }) => input.count, { undo: 'nothing' })
      .step('two', async ({ results }) => results.one + 1, { undo: 'nothing' })
      .pivot('three', ({ results }) => [results.one, results.two])
      .step('four', () => {});
    const sagas = await runner(sum);
    const results = await sagas.run(sum, { sku: 'a' }, { id: 's1' });
    expect(results).toEqual({ one: 1, two: 2, three: [1, 2], four: undefined });
    expect((await sagas.get('s1'))?.status).toBe('completed');
    await sagas.stop();
  });

  it('costs one durable write more than it has steps', async () => {
    const { runtime, log } = setup();
    const store = memorySagaStore({ runtime });
    const writes: string[] = [];
    const counted: SagaStore = Object.assign(Object.create(store), {
      create: (...args: Parameters<SagaStore['create']>) => {
        writes.push('create');
        return store.create(...args);
      },
      update: (...args: Parameters<SagaStore['update']>) => {
        writes.push('update');
        return store.update(...args);
      },
    });
    for (const method of ['start', 'claim', 'take', 'heartbeat', 'release', 'get', 'list'] as const) {
      Object.assign(counted, { [method]: store[method].bind(store) });
    }
    const shop = checkout(log);
    const sagas = await new SagaRunner({ store: counted, sagas: [shop], runtime }).start();
    await sagas.run(shop, { sku: 'a' });
    expect(writes).toEqual(['create', ...Array(5).fill('update')]);
  });

  it('passes results as JSON brings them back, so that a crash changes nothing', async () => {
    const { runner } = setup();
    const seen: unknown[] = [];
    const dated = saga('dated', { input: z.object({ at: z.date() }) })
      .step('one', () => ({ at: new Date(0), gone: undefined }), { undo: 'nothing' })
      .pivot('two', ({ input, results }) => void seen.push(input, results));
    const sagas = await runner(dated);
    await sagas.run(dated, { at: new Date(0) });
    const at = '1970-01-01T00:00:00.000Z';
    expect(seen).toEqual([{ at }, { one: { at } }]);
  });

  it('does not inherit the deadline of the request that began it', async () => {
    const { runner, runtime } = setup();
    const inner: (number | undefined)[] = [];
    const policy = timeout('1h', { runtime });
    const quick = saga('quick', { input: Order }).pivot('one', () =>
      policy.run(({ deadline }) => void inner.push(deadline)),
    );
    const sagas = await runner(quick);
    await withCallContext(new Call(AbortSignal.abort(), 1, 5), () => sagas.begin(quick, { sku: 'a' }));
    await runtime.clock.advance(0);
    expect(inner).toEqual([60_000]);
  });
});

describe('a saga that turns back', () => {
  it('undoes what was done in reverse order, and not what was refused', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { pay: refusal });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' }, { id: 'r' })).rejects.toBeInstanceOf(SagaCompensatedError);
    expect(log.slice(4)).toEqual(['undo reserve {"by":"reserve"}', 'undo hold {"by":"hold"}']);
    const record = await sagas.get('r');
    expect(record?.reason).toBe('pay was refused: no');
    expect(record?.steps.map((s) => `${s.name} ${s.status}`)).toEqual([
      'hold undone',
      'tax done',
      'reserve undone',
      'pay refused',
    ]);
  });

  it('undoes a step in doubt, without a result', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { reserve: failure });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('reserve failed: reset');
    expect(log).toEqual(['hold', 'tax', 'reserve', 'undo reserve undefined', 'undo hold {"by":"hold"}']);
  });

  it('does not take a refusal for certain when an earlier attempt is in doubt', async () => {
    const twice: Policy = {
      run: (work, options) => {
        const context = options as Call;
        return (async () => work(context))().catch(() => work(context)) as never;
      },
      wrap: (() => {}) as never,
    };
    for (const conclusive of [false, true]) {
      const { runner, log } = setup();
      let calls = 0;
      const shop = checkout(
        log,
        {
          reserve: () => {
            calls += 1;
            return calls === 1 ? failure() : refuse('no', { conclusive });
          },
        },
        twice,
      );
      const sagas = await runner(shop);
      await expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaCompensatedError);
      expect(log.includes('undo reserve undefined')).toBe(!conclusive);
    }
  });

  it('takes a policy that made no attempt for a refusal', async () => {
    const { runner, log } = setup();
    const open: Policy = {
      run: () => Promise.reject(new CircuitOpenError('b', 'open', 5)),
      wrap: (() => {}) as never,
    };
    const shop = checkout(log, {}, open);
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' }, { id: 'x' })).rejects.toThrow('hold was refused');
    expect(log).toEqual([]);
    expect((await sagas.get('x'))?.version).toBe(1);
  });

  it('waits until an attempt that timed out has ended before it undoes it', async () => {
    const { runner, runtime, log } = setup({ attemptTimeout: '1s', settleTimeout: '10s' });
    let end = (): void => {};
    const shop = checkout(log, {
      hold: () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    });
    const sagas = await runner(shop);
    const ended = expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaCompensatedError);
    await runtime.clock.advance(5_000);
    expect(log).toEqual(['hold']);
    end();
    await runtime.clock.advance(0);
    await ended;
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });

  it('parks when an attempt that was given up never ends', async () => {
    const { runner, runtime, log } = setup({ attemptTimeout: '1s', settleTimeout: '10s' });
    const shop = checkout(log, { hold: () => never() });
    const sagas = await runner(shop);
    const ended = expect(sagas.run(shop, { sku: 'a' })).rejects.toBeInstanceOf(SagaParkedError);
    await runtime.clock.advance(11_001);
    await ended;
    expect(log).toEqual(['hold']);
  });

  it('retries an undo with backoff, and parks with the original cause kept', async () => {
    const { runner, runtime, log } = setup({ retry: { attempts: 3, base: 100 } });
    const shop = checkout(log, { pay: refusal, 'undo hold {"by":"hold"}': failure });
    const sagas = await runner(shop);
    const ended = sagas.run(shop, { sku: 'a' }, { id: 'u' });
    await expect(runtime.clock.settle(ended)).rejects.toThrow(
      /undo of hold was tried 3 times: reset · .* because pay was refused: no/,
    );
    expect(log.filter((l) => l.startsWith('undo hold'))).toHaveLength(3);
    expect((await sagas.get('u'))?.steps.map((s) => s.status)).toEqual(['done', 'done', 'undone', 'refused']);
  });

  it('undoes a step whose result cannot be stored', async () => {
    const { runner, log } = setup();
    const shop = checkout(log, { hold: () => 10n });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('bigint');
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });

  // At 200 levels it is a result that can be stored by itself, but not within a record.
  it.each([199, 200, 500])(
    'goes on or turns back, and never hangs, after a result of %i levels',
    async (depth) => {
      const nested = (): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
      for (const result of [nested, () => ({ toJSON: nested })]) {
        const { runner, log } = setup();
        const shop = checkout(log, { hold: result });
        const sagas = await runner(shop);
        const ended = sagas.run(shop, { sku: 'a' });
        if (depth < 200) await expect(ended).resolves.toMatchObject({ ship: { by: 'ship' } });
        else await expect(ended).rejects.toThrow('nested deeper than 200 levels');
        expect(log[1]).toBe(depth < 200 ? 'tax' : 'undo hold undefined');
      }
    },
  );

  it('undoes a step whose error has a message that is no text', async () => {
    const { runner, log } = setup();
    const odd = (): never => {
      throw Object.assign(new Error(), { message: { code: 5n } });
    };
    const shop = checkout(log, { hold: odd });
    const sagas = await runner(shop);
    await expect(sagas.run(shop, { sku: 'a' })).rejects.toThrow('hold failed: [object Object]');
    expect(log).toEqual(['hold', 'undo hold undefined']);
  });
});

describe('a saga at its pivot and behind it', () => {
  it('asks a pivot in doubt again with the same key until it knows, and undoes nothing meanwhile', async () => {
    const { runner, runtime, log } = setup();
    const keys: string[] = [];
    const shop = checkout(log, {
      pay: (key) => {
        keys.push(key);
        return keys.length < 4 ? failure() : 'paid';
      },
    });
    const sagas = await runner(shop);
    await expect(runtime.clock.settle(sagas.run(shop, { sku: 'a' }, { id: 'p' }))).resolves.toMatchObject({
      pay: 'paid',
    });
    expect(keys).toEqual(Array(4).fill('p/pay/do'));
    expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'pay', 'pay', 'pay', 'ship']);
  });

  it('parks a pivot that stays in doubt, undoing nothing', async () => {
    const { runner, runtime, log } = setup({ retry: { attempts: 3 } });
    let calls = 0;
    const shop = checkout(log, {
      pay: () => {
        calls += 1;
        return calls === 1 ? failure() : refusal();
      },
    });
    const sagas = await runner(shop);
    await expect(runtime.clock.settle(sagas.run(shop, { sku: 'a' }))).rejects.toThrow(
      'pay (pivot) was tried 3 times: no',
    );
    expect(log.some((l) => l.startsWith('undo'))).toBe(false);
  });

  it('turns back when a refusal speaks for the attempts in doubt, too', async () => {
    const { runner, runtime, log } = setup();
    let calls = 0;
    const shop = checkout(log, {
      pay: () => {
        calls += 1;
        return calls === 1 ? failure() : refuse('declined', { conclusive: true });
      },
    });
    const sagas = await runner(shop);
    const ended = runtime.clock.settle(sagas.run(shop, { sku: 'a' }));
    await expect(ended).rejects.toThrow('pay was refused: declined');
  });

  it('goes only forward after the pivot: retries, then parks; a refusal parks at once', async () => {
    for (const [step, tries] of [
      [failure, 3],
      [refusal, 1],
    ] as const) {
      const { runner, runtime, log } = setup({ retry: { attempts: 3 } });
      const shop = checkout(log, { ship: step });
      const sagas = await runner(shop);
      const ended = runtime.clock.settle(sagas.run(shop, { sku: 'a' }));
      await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
      expect(log.slice(3)).toEqual(['pay', ...Array(tries).fill('ship')]);
    }
  });

  it('holds no slot while it waits for its next try', async () => {
    const { runner, runtime, log } = setup({ concurrency: 1, retry: { base: '1m' } });
    const stuck = saga('stuck', { input: Order }).pivot('fail', failure);
    const shop = checkout(log);
    const sagas = await runner(stuck, shop);
    await sagas.begin(stuck, { sku: 'a' });
    await runtime.clock.advance(0);
    await expect(sagas.run(shop, { sku: 'a' })).resolves.toBeDefined();
  });
});

describe('beginning a saga', () => {
  it('is idempotent by id: joins, and gives the result of one that has ended', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const sagas = await runner(shop);
    const both = [
      sagas.run(shop, { sku: 'a' }, { id: 'i' }),
      sagas.run(shop, { count: 1, sku: 'a' }, { id: 'i' }),
    ];
    const [one, two] = await Promise.all(both);
    expect(two).toEqual(one);
    expect(await sagas.run(shop, { sku: 'a' }, { id: 'i' })).toEqual(one);
    expect(await sagas.begin(shop, { sku: 'a' }, { id: 'i' })).toEqual({ id: 'i', created: false });
    expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'ship']);
  });

  it('is waited for by many at once without a warning of a leak', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const { runner } = setup();
    const one = saga('one', { input: Order }).step('only', () => 1, { undo: 'nothing' });
    const sagas = await runner(one);
    await Promise.all(Array.from({ length: 20 }, () => sagas.run(one, { sku: 'a' })));
    await sagas.stop();
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it('refuses another input and another saga under the same id', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const other = saga('other', { input: Order }).pivot('x', () => 1);
    const sagas = await runner(shop, other);
    await sagas.run(shop, { sku: 'a' }, { id: 'c' });
    await expect(sagas.begin(shop, { sku: 'b' }, { id: 'c' })).rejects.toBeInstanceOf(SagaConflictError);
    await expect(sagas.begin(other, { sku: 'a' }, { id: 'c' })).rejects.toBeInstanceOf(SagaConflictError);
  });

  it('refuses bad input, bad ids and sagas it was not given', async () => {
    const { runner, log } = setup();
    const shop = checkout(log);
    const sagas = await runner(shop);
    await expect(sagas.begin(shop, { sku: 1 } as never)).rejects.toThrow(/sku/);
    await expect(sagas.begin(shop, { sku: 'a' }, { id: 'a b' })).rejects.toBeInstanceOf(InvalidOptionsError);
    await expect(sagas.begin(shop, { sku: 'a' }, { id: '' })).rejects.toBeInstanceOf(InvalidOptionsError);
    const longer = saga('checkout', { input: Order }).pivot('x', () => 1);
    await expect(sagas.begin(longer, { sku: 'a' })).rejects.toBeInstanceOf(UnknownSagaError);
    const loose = saga('loose', { input: z.unknown() }).pivot('x', () => 1);
    const others = await runner(loose);
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const input of [10n, cycle, () => 1, { n: Number.NaN }]) {
      await expect(others.begin(loose, input)).rejects.toBeInstanceOf(InvalidPayloadError);
    }
    expect(await sagas.list()).toEqual([]);
  });

  it('gives up waiting by signal and timeout, while the saga goes on', async () => {
    const { runner, runtime } = setup({ attemptTimeout: '1h' });
    let end = (): void => {};
    const slow = saga('slow', { input: Order }).pivot(
      'x',
      () =>
        new Promise<void>((r) => {
          end = r;
        }),
    );
    const sagas = await runner(slow);
    const waiting = expect(sagas.run(slow, { sku: 'a' }, { id: 'w', timeout: '1s' })).rejects.toThrow(
      '1000 ms',
    );
    await runtime.clock.advance(1_000);
    await waiting;
    end();
    await runtime.clock.advance(0);
    expect((await sagas.get('w'))?.status).toBe('completed');
  });
});

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
      { definitions: [{ saga: 'slow', hash: slow.hash }], limit: 1, holding: [] },
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
    const request = { definitions: [{ saga: 'slow', hash: slow.hash }], limit: 1, holding: [] };
    expect(await store.claim(request, { owner: 'o', ttl: 1 })).toHaveLength(0);
    await runtime.clock.advance(30_000);
    expect(await store.claim(request, { owner: 'o', ttl: 1 })).toHaveLength(1);
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

describe('options', () => {
  const store = memorySagaStore();
  const one = saga('one', { input: Order }).pivot('x', () => 1);
  const empty = saga('empty', { input: Order });
  it.each([
    [{ store, sagas: [] }, 'sagas'],
    [{ store, sagas: [{}] }, 'sagas'],
    [{ store, sagas: [one, one] }, 'each saga once'],
    [{ store, sagas: [empty] }, 'at least one step'],
    [{ sagas: [one] }, 'store'],
    [{ store, sagas: [one], lease: '1ms' }, 'lease'],
    [{ store, sagas: [one], concurrency: 0 }, 'concurrency'],
    [{ store, sagas: [one], retry: { attempts: 1.5 } }, 'retry.attempts'],
    [{ store, sagas: [one], pollintervall: 1 }, 'pollintervall'],
  ])('%# are refused naming the field', (options, field) => {
    expect(() => new SagaRunner(options as never)).toThrow(field);
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
    'claim',
    'take',
    'heartbeat',
    'release',
    'get',
    'list',
    'close',
  ] as const;
  return Object.fromEntries(methods.map((m) => [m, store[m].bind(store)])) as unknown as SagaStore;
}
