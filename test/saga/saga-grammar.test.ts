import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { InvalidOptionsError, InvalidSagaError } from '../../src/core/errors.ts';
import { saga } from '../../src/saga/saga.ts';

const Order = z.object({ sku: z.string() });
const nothing = { undo: 'nothing' } as const;
const undo = (): void => {};

type ResultsOf<S extends { types?: { results: unknown } | undefined }> = NonNullable<S['types']>['results'];

describe('the types of the builder', () => {
  it('give the members of a group the results before it, and all of them to what comes after', () => {
    const trip = saga('trip', { input: Order })
      .step('quote', () => 12, nothing)
      .parallel('book', (group) =>
        group
          .step(
            'flight',
            ({ results }) => {
              expectTypeOf(results).toEqualTypeOf<{ readonly quote: number }>();
              return { seat: '1A' };
            },
            {
              undo: ({ result }) => {
                expectTypeOf(result).toEqualTypeOf<{ readonly seat: string } | undefined>();
              },
            },
          )
          .step('hotel', async () => 7, { undo, when: ({ input }) => input.sku !== '' }),
      )
      .pivot('pay', ({ results }) => {
        expectTypeOf(results).toEqualTypeOf<{
          readonly quote: number;
          readonly flight: { readonly seat: string };
          readonly hotel: number | undefined;
        }>();
      })
      .parallel('tell', (group) => group.step('mail', () => 'm' as const).step('post', () => 1), {
        when: ({ results }) => results.hotel === 7,
      });
    type Results = {
      readonly quote: number;
      readonly flight: { readonly seat: string };
      readonly hotel: number | undefined;
      readonly pay: undefined;
      readonly mail: 'm' | undefined;
      readonly post: number | undefined;
    };
    expectTypeOf<ResultsOf<typeof trip>>().toEqualTypeOf<Results>();
    expect(trip.definition.plan.units.map((unit) => unit.map((s) => s.name))).toEqual([
      ['quote'],
      ['flight', 'hotel'],
      ['pay'],
      ['mail', 'post'],
    ]);
  });

  it('make the result of a conditional step undefined or what it returns', () => {
    const some = saga('some', { input: Order })
      .step('gift', () => 1, { ...nothing, when: ({ input }) => input.sku === 'a' })
      .step('wrap', () => 'w', { undo, when: ({ results }) => results.gift !== undefined })
      .pivot('pay', () => 2)
      .step('bonus', ({ results }) => results.gift, { when: ({ results }) => results.pay > 1 });
    expectTypeOf<ResultsOf<typeof some>>().toEqualTypeOf<{
      readonly gift: number | undefined;
      readonly wrap: string | undefined;
      readonly pay: number;
      readonly bonus: number | undefined;
    }>();
  });

  it('give a wait its signal’s payload, and undefined when it may go on without one', () => {
    const Approval = z.object({ ok: z.boolean(), at: z.coerce.date() });
    const asked = saga('asked', { input: Order })
      .waitFor('approval', { schema: Approval, timeout: '2d' })
      .waitFor('word', { timeout: '1h', onTimeout: 'continue', schema: z.string() })
      .waitFor('anything')
      .delay('pause', ({ results }) => (results.approval.ok ? '1h' : 5))
      .sleepUntil('payday', ({ results }) => new Date(results.approval.at))
      .pivot('pay', () => 1)
      .waitFor('receipt', { schema: z.number() });
    expectTypeOf<ResultsOf<typeof asked>>().toEqualTypeOf<{
      readonly approval: { readonly ok: boolean; readonly at: string };
      readonly word: string | undefined;
      readonly anything: unknown;
      readonly pause: undefined;
      readonly payday: undefined;
      readonly pay: number;
      readonly receipt: number;
    }>();
  });

  it('put the results of a nested saga under its name, and commit with its pivot', () => {
    const travel = saga('travel', { input: z.object({ city: z.string() }) }).step(
      'hotel',
      ({ input, results }) => {
        expectTypeOf(input).toEqualTypeOf<{ readonly city: string }>();
        expectTypeOf(results).toEqualTypeOf<Record<never, never>>();
        return 'H';
      },
      { undo },
    );
    const parent = saga('parent', { input: Order })
      .step('find', () => 'Oslo', nothing)
      .saga('travel', travel, { input: ({ results }) => ({ city: results.find }) })
      .saga('more', travel, { input: () => ({ city: 'Rome' }), when: ({ input }) => input.sku === 'b' });
    expectTypeOf<ResultsOf<typeof parent>>().toEqualTypeOf<{
      readonly find: string;
      readonly travel: { readonly hotel: string };
      readonly more: { readonly hotel: string } | undefined;
    }>();
    const decided = travel.pivot('pay', () => 3);
    const committed = parent.saga('deal', decided, { input: () => ({ city: 'Bonn' }) });
    expectTypeOf(committed.step).parameter(2).extract<{ undo?: never }>().not.toBeNever();
    const after = committed.step('mail', ({ results }) => results.deal.pay);
    expectTypeOf<ResultsOf<typeof after>['mail']>().toEqualTypeOf<number>();
    // @ts-expect-error the nested saga's input is checked
    parent.saga('wrong', travel, { input: () => ({ town: 'Oslo' }) });
  });
});

describe('the grammar, refused by the types and by the build', () => {
  const open = saga('s', { input: Order }).step('a', () => 1, nothing);
  const committed = open.pivot('b', () => 1);

  it('a condition on the pivot', () => {
    // @ts-expect-error the pivot has no condition
    expect(() => open.pivot('b', () => 1, { when: () => true })).toThrow(InvalidSagaError);
  });

  it('a member of a group without an undo before the pivot, and with one after it', () => {
    // @ts-expect-error a member before the pivot needs an undo
    expect(() => open.parallel('g', (g) => g.step('c', () => 1))).toThrow('needs an undo');
    // @ts-expect-error a member after the pivot has no undo
    expect(() => committed.parallel('g', (g) => g.step('c', () => 1, { undo }))).toThrow(
      'leave out its undo',
    );
    // @ts-expect-error a group after the pivot has no undo
    expect(() => committed.parallel('g', (g) => g.step('c', () => 1), { undo: 'reverse' })).toThrow(
      'leave out its undo',
    );
  });

  it('an undo on what has no effect', () => {
    // @ts-expect-error a delay has no undo
    expect(() => open.delay('d', '1h', { undo })).toThrow(InvalidSagaError);
    // @ts-expect-error a wait has no undo
    expect(() => open.waitFor('d', { undo })).toThrow(InvalidSagaError);
  });

  it('a wait that turns back after the pivot', () => {
    // @ts-expect-error nothing turns back after the pivot
    expect(() => committed.waitFor('w', { onTimeout: 'turn-back' })).toThrow("use 'park'");
  });

  it('a nested saga with an undo after the pivot, one that has a pivot under a condition, a second pivot', () => {
    const undoable = saga('child', { input: Order }).step('c', () => 1, { undo });
    const harmless = saga('child', { input: Order }).step('c', () => 1, nothing);
    const input = (): { sku: string } => ({ sku: 'x' });
    // @ts-expect-error nothing after the pivot has an undo
    expect(() => committed.saga('n', undoable, { input })).toThrow('c has an undo');
    const grouped = open.parallel('g', (g) => g.step('d', () => 1, { undo }));
    // @ts-expect-error nor a nested saga that has one in a group
    expect(() => committed.saga('n', grouped, { input })).toThrow('d has an undo');
    expect(committed.saga('n', harmless, { input }).definition.plan.steps.at(-1)).toMatchObject({
      name: 'n.c',
      kind: 'retriable',
      scope: 'n',
    });
    const pivotal = harmless.pivot('p', () => 1);
    expect(committed.saga('n', pivotal, { input }).definition.plan.steps.at(-1)?.kind).toBe('retriable');
    // @ts-expect-error a pivot has no condition
    expect(() => open.saga('n', pivotal, { input, when: () => true })).toThrow('leave out its condition');
    const nested = open.saga('n', pivotal, { input });
    // @ts-expect-error it has its pivot from the nested saga
    expect(() => nested.pivot('q', () => 1)).toThrow('second pivot');
    // @ts-expect-error and so a step after it has no undo
    expect(() => nested.step('q', () => 1, { undo })).toThrow('leave out its undo');
  });

  it('a name that is taken, wherever', () => {
    // @ts-expect-error taken by a step
    expect(() => open.delay('a', 1)).toThrow('two steps are named a');
    // @ts-expect-error taken by a step
    expect(() => open.parallel('g', (g) => g.step('a', () => 1, nothing))).toThrow('two steps are named a');
    // @ts-expect-error taken by a member
    const twice = () => open.parallel('g', (g) => g.step('c', () => 1, nothing).step('c', () => 1, nothing));
    expect(twice).toThrow('two steps are named c');
    const grouped = open.parallel('g', (g) => g.step('c', () => 1, nothing)).step('d', () => 1, nothing);
    expect(() => grouped.parallel('g', (g) => g.step('e', () => 1, nothing))).toThrow(
      'two groups are named g',
    );
  });
});

describe('what only the build can see', () => {
  const open = saga('s', { input: Order }).step('a', () => 1, nothing);

  it('an empty group, an empty nested saga, a nested deadline', () => {
    expect(() => open.parallel('g', (g) => g as never)).toThrow('has no steps');
    expect(() => open.parallel('g', undefined as never)).toThrow('has no steps');
    const empty = saga('child', { input: Order });
    expect(() => open.saga('n', empty, { input: () => ({ sku: '' }) })).toThrow('has no steps');
    const late = saga('child', { input: Order, deadline: '1h' }).step('c', () => 1, nothing);
    expect(() => open.saga('n', late, { input: () => ({ sku: '' }) })).toThrow('has a deadline');
  });

  it('a step that is done once in a lazy saga, also a nested one', () => {
    const lazy = saga('s', { input: Order, durability: 'lazy' });
    expect(() => lazy.step('a', () => 1, { ...nothing, once: true })).toThrow("leave out durability 'lazy'");
    const child = saga('child', { input: Order }).step('c', () => 1, { ...nothing, once: true });
    expect(() => lazy.saga('n', child, { input: () => ({ sku: '' }) })).toThrow(InvalidSagaError);
  });

  it.each([
    [
      'a query without once',
      () => open.step('b', () => 1, { ...nothing, query: () => ({ happened: false }) }),
    ],
    ['a condition that is none', () => open.step('b', () => 1, { ...nothing, when: true as never })],
    ['a delay that is none', () => open.delay('b', 'soon' as never)],
    ['a moment that is none', () => open.sleepUntil('b', '2026-01-01' as never)],
    ['a nested saga that is none', () => open.saga('b', {} as never, { input: () => ({}) })],
    ['an input that is none', () => open.saga('b', open, {} as never)],
    ['a schema that is none', () => open.waitFor('b', { schema: 5 as never })],
    ['an unknown option', () => open.waitFor('b', { timeOut: 5 } as never)],
    ['a version that is none', () => saga('s', { input: Order, version: 0 })],
    ['a deadline that is none', () => saga('s', { input: Order, deadline: 'soon' as never })],
    ['a durability that is none', () => saga('s', { input: Order, durability: 'eager' as never })],
  ])('%s is refused by name', (_, build) => {
    expect(build).toThrow(InvalidOptionsError);
  });

  it('a hash of everything that a record depends on, and of nothing else', () => {
    const base = saga('s', { input: Order });
    const input = (): { sku: string } => ({ sku: '' });
    const shapes = [
      base.step('a', () => 1, nothing),
      base.step('a', () => 1, { undo }),
      base.step('a', () => 1, { ...nothing, when: () => true }),
      base.step('a', () => 1, { ...nothing, once: true }),
      base.delay('a', 1),
      base.waitFor('a'),
      base.parallel('g', (g) => g.step('a', () => 1, nothing)),
      base.parallel('h', (g) => g.step('a', () => 1, nothing)),
      base.parallel('g', (g) => g.step('a', () => 1, nothing), { undo: 'concurrent' }),
      base.saga('n', open, { input }),
      saga('s', { input: Order, version: 2 }).step('a', () => 1, nothing),
      saga('s', { input: Order, durability: 'lazy' }).step('a', () => 1, nothing),
    ];
    expect(new Set(shapes.map((s) => s.hash)).size).toBe(shapes.length);
    expect(base.step('a', () => 2, { undo: 'nothing', timeout: 5 }).hash).toBe(shapes[0]?.hash);
    expect(base.delay('a', '5d').hash).toBe(shapes[4]?.hash);
    expect(saga('s', { input: Order, deadline: '1h' }).step('a', () => 1, nothing).hash).toBe(
      shapes[0]?.hash,
    );
    // Of version 0.1: what was begun with it still runs.
    expect(shapes[0]?.hash).toBe('e20b59ebe2d1f395');
  });
});
