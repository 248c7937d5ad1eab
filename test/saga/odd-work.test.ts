/** Steps, policies, clients and stores that do not do as they are expected to. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { UnknownSagaError } from '../../src/core/errors.ts';
import type { Policy } from '../../src/core/policy.ts';
import { retry } from '../../src/resilience/retry.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import type { StepContext } from '../../src/saga/saga-types.ts';
import { ScriptStage } from './script-stage.ts';

const Input = z.object({});
const nothing = { undo: 'nothing' } as const;

describe('members of a parallel group that are under way', () => {
  /** Hangs until its signal aborts. */
  const hanging = (name: string, aborted: string[]) => (context: StepContext<object, object>) =>
    new Promise<never>((_resolve, reject) => {
      context.signal.addEventListener('abort', () => {
        aborted.push(name);
        reject(context.signal.reason);
      });
    });

  it.each([0, 1, 2])('are all aborted when one refuses, wherever it stands (%i)', async (place) => {
    const stage = new ScriptStage();
    const { clock } = stage.runtime;
    const aborted: string[] = [];
    const refusing = async (): Promise<never> => {
      await new Promise<void>((resolve) => void clock.schedule(20, resolve));
      return refuse('no');
    };
    const work = (n: number) => (n === place ? refusing : hanging(`m${n}`, aborted));
    const shape = saga('group', { input: Input }).parallel('all', (group) =>
      group.step('m0', work(0), nothing).step('m1', work(1), nothing).step('m2', work(2), nothing),
    );
    const sagas = await stage.runner([shape]);
    const ended = sagas.run(shape, {}, { id: 's' }).catch(() => {});
    await clock.advance(20);
    expect(aborted).toHaveLength(2);
    await ended;
    expect((await stage.record('s')).status).toBe('compensated');
  });

  it('make no more attempts when one has turned the saga', async () => {
    const stage = new ScriptStage();
    const { clock } = stage.runtime;
    let attempts = 0;
    const shape = saga('group', { input: Input }).parallel('all', (group) =>
      group
        .step(
          'again',
          async () => {
            attempts += 1;
            throw new Error('not yet');
          },
          {
            ...nothing,
            policy: retry({ attempts: 10, backoff: () => 10, runtime: stage.runtime }),
          },
        )
        .step(
          'no',
          async () => {
            await new Promise<void>((resolve) => void clock.schedule(25, resolve));
            return refuse('no');
          },
          nothing,
        ),
    );
    const sagas = await stage.runner([shape]);
    const ended = sagas.run(shape, {}, { id: 's' }).catch(() => {});
    await clock.advance(25);
    const before = attempts;
    await clock.advance(10_000);
    await ended;
    expect([before > 0, attempts]).toEqual([true, before]);
  });
});

describe('what throws where a promise was expected', () => {
  const throwing: Policy = {
    run: () => {
      throw new Error('a policy that throws');
    },
    wrap: () => () => Promise.reject(new Error('never')),
  };
  const mute = { ...throwing, run: () => undefined } as unknown as Policy;
  const broken = {
    // biome-ignore lint/suspicious/noThenProperty: a promise that is none.
    then: () => {
      throw new Error('a then that throws');
    },
  };

  it.each<[string, () => unknown, Policy | undefined]>([
    ['a policy', () => 1, throwing],
    ['a policy that gives no promise', () => 1, mute],
    ['a thenable', () => broken, undefined],
  ])('%s is a failure of its step, and keeps no slot', async (_what, work, policy) => {
    const stage = new ScriptStage();
    const bad = saga('bad', { input: Input }).step('odd', work, { ...nothing, policy });
    const good = saga('good', { input: Input }).step('fine', () => 'fine', nothing);
    const sagas = await stage.runner([bad, good], { concurrency: 1, retry: { attempts: 2 } });
    for (const id of ['b1', 'b2', 'b3']) void sagas.run(bad, {}, { id }).catch(() => {});
    const fine = stage.settle(sagas.run(good, {}, { id: 'g' }));
    expect(await fine).toEqual({ fine: 'fine' });
  });
});

it('a cancel with a timeout that is none asks nothing of the saga', async () => {
  const stage = new ScriptStage();
  const shape = saga('waits', { input: Input })
    .waitFor('ok')
    .pivot('p', () => 1);
  const sagas = await stage.runner([shape]);
  await sagas.begin(shape, {}, { id: 's' });
  await stage.runtime.clock.advance(0);
  await expect(sagas.cancel('s', { reason: 'no', timeout: 'soon' as never })).rejects.toThrow(
    'timeout: got "soon"',
  );
  expect((await stage.record('s')).requests ?? []).toEqual([]);
});

it('whoever waits for a saga that was purged meanwhile is told', async () => {
  const stage = new ScriptStage();
  const shape = saga('waits', { input: Input })
    .waitFor('ok')
    .pivot('p', () => 1);
  const [one, other] = [await stage.runner([shape]), await stage.runner([shape])];
  await one.begin(shape, {}, { id: 's' });
  await stage.runtime.clock.advance(0);
  const joined = other.run(shape, {}, { id: 's' });
  joined.catch(() => {});
  await stage.runtime.clock.advance(0);
  stage.hooks.get = () => stage.inner.purge(Number.MAX_SAFE_INTEGER, 10);
  await one.cancel('s', { reason: 'over' }).catch(() => {});
  await expect(stage.settle(joined)).rejects.toThrow(UnknownSagaError);
});

it('claims that a client keeps waiting do not pile up', async () => {
  const stage = new ScriptStage();
  const shape = saga('plain', { input: Input }).step('a', () => 1, nothing);
  let sent = 0;
  const open: (() => void)[] = [];
  await stage.runner([shape], { pollInterval: 100, lease: 3_000 });
  stage.hooks.claim = () => {
    sent += 1;
    return new Promise<void>((resolve) => void open.push(resolve));
  };
  await stage.runtime.clock.advance(300_000);
  expect(sent).toBe(2);
  for (const answer of open) answer();
  stage.hooks.claim = () => {
    sent += 1;
  };
  await stage.runtime.clock.advance(60_000);
  expect(sent).toBeGreaterThan(3);
});
