/** What happens to sagas in the course of a service's life, on any store: new versions, repairs, poison, races. */
import { expect, it } from 'vitest';
import type { SagaStore } from '../../src/ports/saga-store.ts';
import { refuse, SagaRunner, saga } from '../../src/saga/index.ts';

/** One database, and as many stores on it as there are processes. */
export interface SharedJournal {
  open(): SagaStore;
  /** Make the record of one saga unreadable, as a bug or a hand would. */
  poison(id: string): Promise<void>;
}

const anything = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value: value as { readonly n: number } }),
  },
};

const times = { lease: 400, pollInterval: 20, retry: { attempts: 3, base: 1, max: 5 } };

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}

export function lifeCycleTests(journal: () => SharedJournal): void {
  const start = (sagas: ConstructorParameters<typeof SagaRunner>[0]['sagas'], name: string) =>
    new SagaRunner({ ...times, name, store: journal().open(), sagas }).start();

  it('finishes what is under way on the old version beside the new one', async () => {
    const before = saga('upgrade', { input: anything })
      .step('reserve', () => 'old', { undo: () => {} })
      .waitFor('go')
      .pivot('pay', ({ results }) => `${results.reserve} paid`);
    const after = saga('upgrade', { input: anything, version: 2 })
      .step('reserve', () => 'new', { undo: () => {} })
      .pivot('pay', ({ results }) => `${results.reserve} paid`);
    const old = await start([before], 'old');
    await old.begin(before, { n: 1 }, { id: 'in-flight' });
    await until(async () => (await old.get('in-flight'))?.status === 'waiting');
    await old.stop();

    const young = await start([after], 'new');
    const told: unknown[] = [];
    young.on('unclaimed', (event) => told.push(event));
    await expect(young.run(after, { n: 2 }, { id: 'young' })).resolves.toMatchObject({ pay: 'new paid' });
    await young.signal('in-flight', 'go', undefined);
    await until(() => told.length > 0);
    expect(told[0]).toMatchObject({ saga: 'upgrade', definitionVersion: 1, count: 1 });
    expect(await young.safeToRemove(before)).toBe(false);

    const both = await start([before, after], 'both');
    await until(async () => (await both.get('in-flight'))?.status === 'completed');
    const results = (await both.get('in-flight'))?.steps.find((step) => step.name === 'pay')?.output;
    expect(results).toBe('old paid');
    expect(await both.safeToRemove(before)).toBe(true);
    await Promise.all([young.stop(), both.stop()]);
  });

  it('parks what cannot be done, and goes on after a repair from another process', async () => {
    let broken = true;
    const shop = saga('repaired', { input: anything })
      .pivot('pay', () => 1)
      .step('ship', () => {
        if (broken) throw new Error('no courier');
        return 2;
      });
    const runner = await start([shop], 'runner');
    await runner.begin(shop, { n: 1 }, { id: 'stuck' });
    await until(async () => (await runner.get('stuck'))?.status === 'parked');
    broken = false;
    const desk = await start([shop], 'desk');
    await desk.retry('stuck', { by: 'me', reason: 'the courier is back' });
    await until(async () => (await runner.get('stuck'))?.status === 'completed');
    expect((await runner.get('stuck'))?.repairs).toMatchObject([{ action: 'retry', by: 'me' }]);
    await Promise.all([runner.stop(), desk.stop()]);
  });

  it('parks a record that cannot be read, and runs the others', async () => {
    const shop = saga('poisoned', { input: anything })
      .waitFor('go')
      .pivot('pay', () => 1);
    const first = await start([shop], 'first');
    for (const id of ['bad', 'good']) await first.begin(shop, { n: 1 }, { id });
    await first.stop();
    await journal().poison('bad');
    const second = await start([shop], 'second');
    for (const id of ['bad', 'good']) await second.signal(id, 'go', undefined);
    await until(async () => (await second.get('good'))?.status === 'completed');
    await until(async () => (await second.get('bad'))?.status === 'parked');
    await second.stop();
  });

  it('answers a cancel that races the end with the truth, whichever process is asked', async () => {
    const shop = saga('raced', { input: anything })
      .step('hold', () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4)), {
        undo: () => {},
      })
      .pivot('pay', () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4)))
      .step('ship', () => 1);
    const runners = await Promise.all([start([shop], 'a'), start([shop], 'b')]);
    const outcomes = new Set<string>();
    for (let n = 0; n < 60; n += 1) {
      const id = `raced-${n}`;
      await runners[0].begin(shop, { n }, { id });
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      const answers = await Promise.all(runners.map((runner) => runner.cancel(id, { reason: 'no' })));
      const [{ outcome }] = answers as [(typeof answers)[0]];
      expect(answers.map((answer) => answer.outcome)).toEqual([outcome, outcome]);
      await until(async () => ['completed', 'compensated'].includes((await runners[1].get(id))!.status));
      const { status } = (await runners[1].get(id))!;
      expect(status).toBe(outcome === 'accepted' ? 'compensated' : 'completed');
      outcomes.add(outcome);
    }
    expect([...outcomes].sort()).toEqual(['accepted', 'tooLate']);
    await Promise.all(runners.map((runner) => runner.stop()));
  });

  it('refuses under an id that was begun with another input', async () => {
    const shop = saga('refusing', { input: anything }).pivot('pay', () => refuse('no'));
    const runner = await start([shop], 'refusing');
    await expect(runner.run(shop, { n: 1 }, { id: 'refused' })).rejects.toThrow('no');
    await expect(runner.run(shop, { n: 2 }, { id: 'refused' })).rejects.toThrow('refused');
    await runner.stop();
  });
}
