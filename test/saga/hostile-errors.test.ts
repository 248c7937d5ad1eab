import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { RefusedError } from '../../src/core/errors.ts';
import { retry } from '../../src/resilience/retry.ts';
import { saga } from '../../src/saga/saga.ts';
import type { Saga } from '../../src/saga/saga-phases.ts';
import { ScriptStage } from './script-stage.ts';

const trap = (): never => {
  throw new Error('a trap');
};
const traps = { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap };

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** What anybody may throw. */
const thrown: readonly (readonly [string, () => unknown])[] = [
  ['a revoked proxy', revoked],
  ['a proxy that throws at all', () => new Proxy(new Error('x'), traps)],
  ['a proxy of a refusal whose properties throw', () => new Proxy(new RefusedError('no'), { get: trap })],
  ['what has such a prototype', () => Object.create(new Proxy({}, traps) as object)],
  ['an error whose message throws', () => Object.defineProperty(new Error('x'), 'message', { get: trap })],
  ['what cannot be made a text', () => Object.create(null)],
  [
    'a refusal that does not say whether it is conclusive',
    () => Object.defineProperty(new RefusedError('no'), 'conclusive', { get: trap }),
  ],
  ['nothing', () => undefined],
  ['null', () => null],
  ['a symbol', () => Symbol('x')],
];

type Place = (stage: ScriptStage, fail: () => unknown) => Saga;
const input = z.object({});
const undo = 'nothing';

const places: Readonly<Record<string, readonly [string, Place]>> = {
  'a step': ['compensated', (_, run) => saga('s', { input }).step('a', run, { undo })],
  'a step that is done once': [
    'compensated',
    (_, run) => saga('s', { input }).step('a', run, { undo, once: true }),
  ],
  'a step under policies': [
    'compensated',
    ({ runtime }, run) =>
      saga('s', { input }).step('a', run, {
        undo,
        policy: retry({ attempts: 2, backoff: 1, runtime }),
      }),
  ],
  'a member of a group': [
    'compensated',
    (_, run) =>
      saga('s', { input }).parallel('g', (g) => g.step('a', run, { undo }).step('b', () => 1, { undo })),
  ],
  'an undo': [
    'parked',
    (_, run) =>
      saga('s', { input })
        .step('a', () => 1, { undo: run })
        .step('b', () => Promise.reject(new Error('no')), { undo }),
  ],
  'the pivot': ['parked or compensated', (_, run) => saga('s', { input }).pivot('p', run)],
  'a step after it': [
    'parked',
    (_, run) =>
      saga('s', { input })
        .pivot('p', () => 1)
        .step('a', run),
  ],
  'a query': [
    'parked',
    (_, run) =>
      saga('s', { input }).pivot('p', () => Promise.reject(new Error('no')), {
        once: true,
        query: run as never,
      }),
  ],
  'a condition': [
    'parked',
    (_, run) => saga('s', { input }).step('a', () => 1, { undo, when: run as never }),
  ],
  'the length of a delay': ['parked', (_, run) => saga('s', { input }).delay('d', run as never)],
  "a nested saga's input": [
    'parked',
    (_, run) =>
      saga('s', { input }).saga(
        'n',
        saga('n', { input }).step('a', () => 1, { undo }),
        { input: run as never },
      ),
  ],
  'what is returned': [
    'compensated',
    (_, run) => saga('s', { input }).step('a', () => ({ toJSON: run }), { undo }),
  ],
};

afterEach(() => void vi.restoreAllMocks());

describe.each(Object.entries(places))('whatever %s throws', (_, [status, place]) => {
  it.each(thrown)('the saga comes to its end: %s', async (__, made) => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const later of [false, true]) {
      const stage = new ScriptStage();
      const fail = (): unknown => {
        const error = made();
        if (later && status !== 'parked' && place !== places['what is returned']![1])
          return Promise.reject(error);
        throw error;
      };
      const shape = place(stage, fail);
      const sagas = await stage.runner([shape], { retry: { attempts: 2, base: 1 } });
      let resumed = 0;
      sagas.on('resumed', () => {
        resumed += 1;
      });
      await sagas.begin(shape, {}, { id: 's' });
      await stage.runtime.clock.advance(120_000);
      expect(status).toContain((await stage.record('s')).status);
      expect(resumed).toBe(0);
      await sagas.stop();
    }
    expect(warned).not.toHaveBeenCalled();
  });
});
