import { expect } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import { SagaParkedError } from '../../src/core/errors.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import type { SagaRunnerOptions } from '../../src/saga/runner-options.ts';
import { saga } from '../../src/saga/saga.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

export const ann = { by: 'ann', reason: 'the gateway is up again' };
export const fail = (): never => {
  throw new Error('reset');
};

/** hold and tax, then pay, then ship and mail; `script` says what each does, and may change. */
export function stage(overrides: Partial<SagaStore> = {}) {
  const runtime = testRuntime();
  const inner = memorySagaStore({ runtime });
  const store = Object.assign(Object.create(inner), bound(inner), overrides) as SagaStore;
  const log: string[] = [];
  const script: Record<string, () => unknown> = {};
  const act = (name: string): unknown => {
    log.push(name);
    return script[name]?.() ?? name;
  };
  const shop = saga('shop', { input: z.object({}) })
    .step('hold', () => act('hold'), { undo: () => act('undo hold') })
    .step('tax', () => act('tax'), { undo: () => act('undo tax') })
    .pivot('pay', () => act('pay'))
    .step('ship', () => act('ship'))
    .step('mail', ({ results }) => (results.ship === undefined ? act('mail without ship') : act('mail')));
  const runner = (options: Partial<SagaRunnerOptions> = {}): Promise<SagaRunner> =>
    new SagaRunner({ store, sagas: [shop], runtime, retry: { attempts: 2 }, ...options }).start();
  return { runtime, inner, store, log, script, shop, runner };
}

export type Stage = ReturnType<typeof stage>;

/** Run it until it parks. */
export async function park({ runtime, shop, log }: Stage, sagas: SagaRunner, id = 's'): Promise<void> {
  const ended = runtime.clock.settle(sagas.run(shop, {}, { id }));
  await expect(ended).rejects.toBeInstanceOf(SagaParkedError);
  log.length = 0;
}

/** A runtime whose timers never fire: a process that is frozen or dead, as the others see it. */
export function deaf(runtime: TestRuntime): TestRuntime {
  const { clock } = runtime;
  const still = { now: () => 0, wallTime: () => clock.wallTime(), schedule: () => ({ cancel() {} }) };
  return { ...runtime, clock: still as never };
}

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

function bound(store: SagaStore): Partial<SagaStore> {
  return Object.fromEntries(methods.map((m) => [m, store[m].bind(store)]));
}
