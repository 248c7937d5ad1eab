import { z } from 'zod';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import type { Policy } from '../../src/core/policy.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import type { SagaRunnerOptions } from '../../src/saga/runner-options.ts';
import { refuse, saga } from '../../src/saga/saga.ts';
import type { Saga } from '../../src/saga/saga-phases.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

export const Order = z.object({ sku: z.string(), count: z.number().default(1) });
export const never = <T>(): Promise<T> => new Promise(() => {});

interface Setup {
  readonly runtime: TestRuntime;
  readonly store: SagaStore;
  readonly log: string[];
  readonly runner: (...sagas: Saga[]) => Promise<SagaRunner>;
}

export function setup(options: Partial<SagaRunnerOptions> = {}): Setup {
  const runtime = testRuntime();
  const store = options.store ?? memorySagaStore({ runtime });
  const log: string[] = [];
  const runner = (...sagas: Saga[]): Promise<SagaRunner> =>
    new SagaRunner({ ...options, store, sagas, runtime }).start();
  return { runtime, store, log, runner };
}

/** hold and tax, then pay, then ship; `script` says what each one does. */
export function checkout(
  log: string[],
  script: Record<string, (key: string) => unknown> = {},
  policy?: Policy,
) {
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

export const refusal = (): never => refuse('no');
export const failure = (): never => {
  throw new Error('reset');
};
