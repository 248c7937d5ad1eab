/** Sagas with everything that a saga can have, each run through the crash matrix against books of its own. */
import { z } from 'zod';
import type { SagaRecord } from '../../../src/ports/saga-store.ts';
import type { Saga } from '../../../src/saga/saga-phases.ts';
import { type CrashMatrixReport, crashMatrix } from '../../../src/testing/crash-matrix/index.ts';
import type { Engine } from './engine.ts';

const Order = z.object({ n: z.number() });

/** What a step and an undo are called with, as far as it matters here. */
interface Context {
  readonly key: string;
}

/** Participants that remember keys, but for those of `once` steps. */
class Doubles {
  readonly live: Set<string> = new Set();
  readonly #refuse: Engine['refuse'];
  readonly #keys: Map<string, 'done' | 'barred'> = new Map();
  readonly #happened: Map<string, number> = new Map();
  #asked = 0;

  constructor(refuse: Engine['refuse']) {
    this.#refuse = refuse;
  }

  readonly do =
    (step: string) =>
    ({ key }: Context): string => {
      const known = this.#keys.get(key);
      if (known === 'barred') this.#refuse('its undo came first', { conclusive: true });
      if (known === undefined) this.#have(step);
      this.#keys.set(key, 'done');
      return step;
    };

  /** Of a participant that forgets keys. */
  readonly once =
    (step: string) =>
    ({ key }: Context): string => {
      if (this.#keys.get(key) === 'barred') this.#refuse('its undo came first', { conclusive: true });
      this.#keys.set(key, 'done');
      this.#have(step);
      return step;
    };

  readonly query = (step: string) => (): { happened: true; result: string } | { happened: false } =>
    this.#happened.has(step) ? { happened: true, result: step } : { happened: false };

  readonly undo =
    (step: string) =>
    ({ forwardKey }: { readonly forwardKey: string }): void => {
      if (this.#keys.get(forwardKey) === 'done') this.live.delete(step);
      this.#keys.set(forwardKey, 'barred');
    };

  /** A condition that says something else each time it is asked. */
  readonly flip = (): boolean => {
    this.#asked += 1;
    return this.#asked % 2 === 1;
  };

  #have(step: string): void {
    const times = (this.#happened.get(step) ?? 0) + 1;
    this.#happened.set(step, times);
    if (times > 1) throw new Error(`${step} had its effect ${times} times`);
    this.live.add(step);
  }
}

interface Case {
  readonly build: (engine: Engine, doubles: Doubles) => Saga<{ n: number }>;
  readonly signals?: readonly { readonly name: string; readonly payload?: unknown }[];
  /** Whether it may be parked: where nobody can know whether a `once` step happened. */
  readonly parks?: true;
}

export const exhaustiveSagas: Readonly<Record<string, Case>> = {
  'steps and a pivot': {
    build: ({ saga }, d) =>
      saga('plain', { input: Order })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .step('b', d.do('b'), { undo: d.undo('b') })
        .pivot('c', d.do('c'))
        .step('d', d.do('d')),
  },
  'a parallel group, undone in reverse': {
    build: ({ saga }, d) =>
      saga('group', { input: Order })
        .parallel('g', (g) =>
          g.step('a', d.do('a'), { undo: d.undo('a') }).step('b', d.do('b'), { undo: d.undo('b') }),
        )
        .pivot('c', d.do('c')),
  },
  'a parallel group, undone at once, and one after the pivot': {
    build: ({ saga }, d) =>
      saga('groups', { input: Order })
        .parallel(
          'g',
          (g) => g.step('a', d.do('a'), { undo: d.undo('a') }).step('b', d.do('b'), { undo: d.undo('b') }),
          { undo: 'concurrent' },
        )
        .pivot('c', d.do('c'))
        .parallel('h', (g) => g.step('d', d.do('d')).step('e', d.do('e'))),
  },
  'conditions that change their mind': {
    build: ({ saga }, d) =>
      saga('conditions', { input: Order })
        .step('a', d.do('a'), { undo: d.undo('a'), when: d.flip })
        .step('b', d.do('b'), { undo: d.undo('b'), when: d.flip })
        .pivot('c', d.do('c'))
        .step('d', d.do('d'), { when: d.flip }),
  },
  'a delay and a signal': {
    signals: [{ name: 'go', payload: { by: 'me' } }],
    build: ({ saga }, d) =>
      saga('waits', { input: Order })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .delay('rest', 50)
        .waitFor('go')
        .pivot('c', d.do('c')),
  },
  'a nested saga': {
    build: ({ saga }, d) =>
      saga('parent', { input: Order })
        .saga(
          'child',
          saga('child', { input: Order })
            .step('a', d.do('child.a'), { undo: d.undo('child.a') })
            .step('b', d.do('child.b'), { undo: d.undo('child.b') }),
          { input: ({ input }) => input },
        )
        .pivot('c', d.do('c')),
  },
  'a step that is done once, and can be asked about': {
    build: ({ saga }, d) =>
      saga('once', { input: Order })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .pivot('c', d.once('c'), { once: true, query: d.query('c') })
        .step('d', d.do('d')),
  },
  'a step that is done once, and cannot be asked about': {
    parks: true,
    build: ({ saga }, d) =>
      saga('blind', { input: Order })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .pivot('c', d.once('c'), { once: true }),
  },
  'lazy, with a group': {
    build: ({ saga }, d) =>
      saga('lazy', { input: Order, durability: 'lazy' })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .parallel('g', (g) =>
          g.step('b', d.do('b'), { undo: d.undo('b') }).step('look', () => 'e', { undo: 'nothing' }),
        )
        .pivot('c', d.do('c'))
        .step('d', d.do('d')),
  },
  'lazy, with a signal and a deadline': {
    signals: [{ name: 'go' }],
    build: ({ saga }, d) =>
      saga('lazy-wait', { input: Order, durability: 'lazy', deadline: 4_000 })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .waitFor('go')
        .pivot('c', d.do('c'))
        .step('d', d.do('d')),
  },
  'a deadline and a signal that never comes': {
    build: ({ saga }, d) =>
      saga('late', { input: Order, deadline: 5_000 })
        .step('a', d.do('a'), { undo: d.undo('a') })
        .waitFor('never')
        .pivot('c', d.do('c')),
  },
};

/** Run one of them through the matrix. @throws CrashMatrixError */
export function exhaust(engine: Engine, name: string): Promise<CrashMatrixReport> {
  const { build, signals, parks } = exhaustiveSagas[name]!;
  return crashMatrix((doubles: Doubles) => build(engine, doubles), {
    setup: () => new Doubles(engine.refuse),
    input: { n: 1 },
    ...(signals !== undefined && { signals }),
    check: ({ status, record, doubles }) => judge(record, status, doubles, parks === true),
  });
}

/** Steps that change nothing. */
const silent = ['rest', 'go', 'never', 'child', 'look'];

function judge(record: SagaRecord, status: string, { live }: Doubles, parks: boolean): void {
  if (status === 'parked') {
    if (!parks) throw new Error(`it is parked: ${record.reason}`);
    return;
  }
  const done = record.steps.filter((s) => s.status === 'done' && !silent.includes(s.name)).map((s) => s.name);
  const expected = status === 'completed' ? done : [];
  const wrong = [...live].filter((name) => !expected.includes(name));
  const missing = expected.filter((name) => !live.has(name));
  if (wrong.length > 0) throw new Error(`it is ${status} with ${wrong}`);
  if (missing.length > 0) throw new Error(`it is ${status} without ${missing}`);
}
