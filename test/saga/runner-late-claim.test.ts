import { expect, it } from 'vitest';
import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { checkout } from './runner-stage.ts';

/** A gate that holds back whoever comes to it while it is closed. */
function gate(): { closed: boolean; pass(): Promise<void>; open(): void } {
  const waiting: (() => void)[] = [];
  return {
    closed: false,
    pass(): Promise<void> {
      return this.closed ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
    },
    open(): void {
      this.closed = false;
      for (const go of waiting.splice(0)) go();
    },
  };
}

// The simulation found it, SEED=96979421: a claim that was under way when the saga was begun did not list it as held,
// brought it, too, and the worker executed it twice at the same time.
it('executes a saga once when a claim that was sent earlier brings it before its own create answers', async () => {
  const runtime = testRuntime();
  const inner = memorySagaStore({ runtime });
  const requests = gate();
  const answers = gate();
  const create: SagaStore['create'] = async (saga, lease) => {
    const made = await inner.create(saga, lease);
    await answers.pass();
    return made;
  };
  const claim: SagaStore['claim'] = async (request, lease) => {
    await requests.pass();
    return inner.claim(request, lease);
  };
  const store = new Proxy(inner, {
    get: (target, name) => {
      if (name === 'create') return create;
      if (name === 'claim') return claim;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const log: string[] = [];
  const shop = checkout(log);
  const runner = await new SagaRunner({ store, sagas: [shop], runtime, pollInterval: 100 }).start();
  requests.closed = true;
  answers.closed = true;
  await runtime.clock.advance(200);
  const begun = runner.begin(shop, { sku: 'a' }, { id: 'x' });
  await runtime.clock.advance(0);
  requests.open();
  await runtime.clock.advance(10);
  answers.open();
  await expect(begun).resolves.toEqual({ id: 'x', created: true });
  await runtime.clock.advance(1_000);
  expect(log).toEqual(['hold', 'tax', 'reserve', 'pay', 'ship']);
  expect(await inner.get('x')).toMatchObject({ status: 'completed' });
  await runner.stop();
});
