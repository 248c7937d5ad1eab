import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import type { SagaRecord } from '../../src/ports/saga-store.ts';
import { diagram } from '../../src/saga/diagram.ts';
import type { DrawnStep } from '../../src/saga/diagram-units.ts';
import { saga } from '../../src/saga/saga.ts';
import type { Saga } from '../../src/saga/saga-phases.ts';
import { parseFlowchart } from './mermaid.ts';
import { recordOf } from './people-stage.ts';

const early = (name: string, more: Partial<DrawnStep> = {}): DrawnStep => ({
  ...{ name, kind: 'compensatable', type: 'call', undoable: true },
  ...more,
});
const pivot: DrawnStep = { name: 'pay', kind: 'pivot', type: 'call', undoable: false };
const late = (name: string, more: Partial<DrawnStep> = {}): DrawnStep => ({
  ...{ name, kind: 'retriable', type: 'call', undoable: false },
  ...more,
});
const sagaOf = (steps: readonly DrawnStep[], name = 'checkout'): Saga =>
  ({ name, hash: 'h1', definition: { plan: { name, hash: 'h1', steps } } }) as unknown as Saga;

const checkout = sagaOf([
  early('check', { undoable: false }),
  early('hold'),
  early('flight', { group: 'book' }),
  early('hotel', { group: 'book', conditional: undefined }),
  early('approval', { type: 'wait', undoable: false }),
  early('wrap', { conditional: true }),
  pivot,
  late('cool-off', { type: 'delay' }),
  late('ship', { once: true }),
]);

/** What is drawn of an instance, by the step's name. */
async function drawn(change: Partial<SagaRecord>): Promise<Record<string, readonly string[]>> {
  const { nodes } = await parseFlowchart(diagram(checkout, recordOf(change)));
  return Object.fromEntries(
    [...nodes]
      .filter(([, classes]) => classes.length > 0)
      .map(([text, classes]) => [text.split('<br/>')[0]!, classes]),
  );
}

describe('a diagram', () => {
  it('draws the order, the pivot, the groups, the conditions and the way back', async () => {
    const { edges, frames, nodes } = await parseFlowchart(diagram(checkout));
    expect(edges).toEqual([
      'checkout -> check',
      'check -> hold<br/>undo',
      'hold<br/>undo -> flight<br/>undo',
      'hold<br/>undo -> hotel<br/>undo',
      'flight<br/>undo -> approval<br/>wait',
      'hotel<br/>undo -> approval<br/>wait',
      'approval<br/>wait -when-> wrap<br/>undo',
      'wrap<br/>undo -> pay<br/>pivot',
      'approval<br/>wait -else-> pay<br/>pivot',
      'pay<br/>pivot -> cool-off<br/>delay',
      'cool-off<br/>delay -> ship<br/>retriable, once',
      'ship<br/>retriable, once -> completed',
      'pay<br/>pivot -refused-> compensated',
    ]);
    expect(frames).toEqual([['parallel book', 2]]);
    expect([...nodes.values()].flat()).toEqual([]);
  });

  it('draws nested sagas as frames within frames', async () => {
    const travel = sagaOf([
      early('travel', { type: 'scope', undoable: false, conditional: true }),
      early('travel.hotel', { scope: 'travel' }),
      early('travel.rail', { type: 'scope', undoable: false, scope: 'travel' }),
      early('travel.rail.seat', { scope: 'travel.rail' }),
      early('travels', {}),
    ]);
    const { frames, edges } = await parseFlowchart(diagram(travel));
    expect(frames).toEqual([
      ['nested travel.rail', 2],
      ['nested travel', 3],
    ]);
    expect(edges).toContain('checkout -when-> travel<br/>scope');
    expect(edges).toContain('checkout -else-> travels<br/>undo');
    expect(edges).toContain('travels<br/>undo -refused or failed-> compensated');
  });

  it('draws what the builder makes', async () => {
    const seat = saga('rail', { input: z.object({}) }).step('seat', () => 1, { undo: () => {} });
    const built = saga('holiday', { input: z.object({}) })
      .parallel('book', (group) =>
        group
          .step('flight', () => 1, { undo: () => {} })
          .step('hotel', () => 1, { undo: () => {}, when: () => true }),
      )
      .parallel('extras', (group) => group.step('car', () => 1, { undo: 'nothing' }), { when: () => true })
      .saga('rail', seat, { input: () => ({}), when: () => true })
      .waitFor('approval', { timeout: '1h' })
      .pivot('pay', () => 1)
      .delay('cool-off', '1h');
    const { edges, frames } = await parseFlowchart(diagram(built));
    expect(frames).toEqual([
      ['parallel book', 2],
      ['parallel extras', 1],
      ['nested rail', 2],
    ]);
    expect(edges).toEqual([
      'holiday -> flight<br/>undo',
      'holiday -when-> hotel<br/>undo',
      // Where conditions follow each other the ways are joined first.
      'flight<br/>undo -> ',
      'hotel<br/>undo -> ',
      'holiday -else-> ',
      ' -when-> car',
      'car -> ',
      ' -else-> ',
      ' -when-> rail<br/>scope',
      'rail<br/>scope -> rail.seat<br/>undo',
      'rail.seat<br/>undo -> approval<br/>wait',
      ' -else-> approval<br/>wait',
      'approval<br/>wait -> pay<br/>pivot',
      'pay<br/>pivot -> cool-off<br/>delay',
      'cool-off<br/>delay -> completed',
      'pay<br/>pivot -refused-> compensated',
    ]);
  });

  it('draws a saga of nothing and one that cannot turn back', async () => {
    expect((await parseFlowchart(diagram(sagaOf([])))).edges).toEqual(['checkout -> completed']);
    expect((await parseFlowchart(diagram(sagaOf([late('mail')])))).edges).toHaveLength(2);
  });

  it('draws where an instance is on its way forward', async () => {
    const steps = [
      { name: 'check', status: 'done', at: 1 },
      { name: 'hold', status: 'done', at: 1 },
      { name: 'flight', status: 'done', at: 1 },
    ] as const;
    const running = await drawn({ steps });
    expect(running).toEqual({ check: ['done'], hold: ['done'], flight: ['done'], hotel: ['current'] });
    const waits = { name: 'approval', status: 'open', until: 61_000, at: 1 } as const;
    const hotel = { name: 'hotel', status: 'done', at: 1 } as const;
    const waiting = recordOf({ status: 'waiting', steps: [...steps, hotel, waits] });
    expect((await drawn(waiting)).approval).toEqual(['waiting', 'current']);
    expect(diagram(checkout, waiting)).toContain('until 1970-01-01T00#58;01#58;01.000Z');
  });

  it('draws where an instance is on its way back, and where it ended', async () => {
    const steps = [
      { name: 'check', status: 'done', at: 1 },
      { name: 'hold', status: 'done', at: 1 },
      { name: 'flight', status: 'undone', at: 1 },
      { name: 'hotel', status: 'failed', error: 'reset by "peer"', at: 1 },
    ] as const;
    const back = { check: ['done'], hold: ['done'], flight: ['undone'], hotel: ['failed', 'current'] };
    expect(await drawn({ status: 'compensating', steps })).toEqual({ ...back, compensated: ['current'] });
    const ended = await drawn({
      status: 'compensated',
      steps: [{ name: 'hold', status: 'refused', error: 'no', at: 1 }],
    });
    expect(ended).toEqual({ hold: ['refused'], compensated: ['undone'] });
  });

  it('draws what is parked, omitted, skipped, begun and completed', async () => {
    const parkedAt = { step: 'ship', operation: 'do', skippable: true } as const;
    const steps = [
      { name: 'wrap', status: 'omitted', at: 1 },
      { name: 'pay', status: 'done', at: 1 },
      { name: 'cool-off', status: 'done', skipped: true, at: 1 },
      { name: 'ship', status: 'begun', at: 1 },
    ] as const;
    const parked = await drawn({ status: 'parked', steps, parkedAt, reason: 'tried' });
    expect(parked).toMatchObject({ wrap: ['omitted'], 'cool-off': ['skipped'], ship: ['parked', 'current'] });
    expect((await drawn({ steps })).ship).toEqual(['begun']);
    expect((await drawn({ status: 'completed' })).completed).toEqual(['done']);
    expect(
      (await drawn({ status: 'parked', parkedAt: { operation: 'undo', skippable: false } })).checkout,
    ).toEqual(['parked']);
  });

  it('can be read whatever its labels are made of, and shows them as they are', async () => {
    const hostile = [
      '"]; click x',
      'end',
      'a --> b',
      '<script>',
      '`md`',
      '#quot;',
      '%%{init}%%',
      'ü 🪸 ا',
      'subgraph',
    ];
    for (const error of hostile) {
      const steps = [{ name: 'hold', status: 'failed', error, at: 1 }] as const;
      const { nodes } = await parseFlowchart(diagram(checkout, recordOf({ steps })));
      expect([...nodes.keys()], error).toContain(`hold<br/>undo<br/>${error}`);
    }
    const property = fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (error) => {
      const steps = [{ name: 'hold', status: 'failed', error, at: 1 }] as const;
      expect((await parseFlowchart(diagram(checkout, recordOf({ id: error, steps })))).nodes.size).toBe(12);
    });
    await fc.assert(property, { numRuns: 25 });
  });

  it('is not drawn of a record of something else', () => {
    expect(() => diagram(checkout, recordOf({ hash: 'h2' }))).toThrow(InvalidOptionsError);
    expect(() => diagram(checkout, recordOf({ saga: 'refund' }))).toThrow(
      'record: got a record of saga refund, shape h1',
    );
  });
});
