import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { InvalidSagaError } from '../../src/core/errors.ts';
import type { JsonValue } from '../../src/core/json.ts';
import { saga } from '../../src/saga/saga.ts';
import type { Saga } from '../../src/saga/saga-phases.ts';

const Order = z.object({ sku: z.string(), count: z.number().default(1) });
const nothing = { undo: 'nothing' } as const;

describe('the types of a saga', () => {
  it('give each step the input and the results before it, as JSON brings them back', () => {
    const checkout = saga('checkout', { input: Order })
      .step(
        'hold',
        async ({ input, results, key, attempt }) => {
          expectTypeOf(input).toEqualTypeOf<{ readonly sku: string; readonly count: number }>();
          expectTypeOf(results).toEqualTypeOf<Record<never, never>>();
          expectTypeOf(key).toEqualTypeOf<string>();
          expectTypeOf(attempt).toEqualTypeOf<number>();
          return { id: 7, at: new Date(0) };
        },
        {
          undo: ({ result, error, forwardKey }) => {
            expectTypeOf(result).toEqualTypeOf<{ readonly id: number; readonly at: string } | undefined>();
            expectTypeOf(error).toEqualTypeOf<string>();
            expectTypeOf(forwardKey).toEqualTypeOf<string>();
          },
        },
      )
      .pivot('pay', ({ results }) => {
        expectTypeOf(results.hold.id).toEqualTypeOf<number>();
      })
      .step('ship', ({ results }) => {
        expectTypeOf(results).toEqualTypeOf<{
          readonly hold: { readonly id: number; readonly at: string };
          readonly pay: undefined;
        }>();
        return 'parcel' as const;
      });
    type Results = {
      readonly hold: { readonly id: number; readonly at: string };
      readonly pay: undefined;
      readonly ship: 'parcel';
    };
    expectTypeOf(checkout).toExtend<Saga<{ sku: string; count?: number | undefined }, Results>>();
    expectTypeOf<NonNullable<typeof checkout.types>['results']>().toEqualTypeOf<Results>();
  });

  it('refuse, as the build does, a missing undo before the pivot', () => {
    // @ts-expect-error a step before the pivot needs an undo
    expect(() => saga('s', { input: Order }).step('a', () => 1)).toThrow(InvalidSagaError);
    // @ts-expect-error a step before the pivot needs an undo
    expect(() => saga('s', { input: Order }).step('a', () => 1, {})).toThrow("undo: 'nothing'");
  });

  it('refuse, as the build does, an undo on the pivot or after it', () => {
    const open = saga('s', { input: Order }).step('a', () => 1, nothing);
    // @ts-expect-error the pivot has no undo
    expect(() => open.pivot('b', () => 1, { undo: () => {} })).toThrow('leave out its undo');
    const committed = open.pivot('b', () => 1);
    // @ts-expect-error a step after the pivot has no undo
    expect(() => committed.step('c', () => 1, { undo: () => {} })).toThrow('leave out its undo');
    // @ts-expect-error not even nothing
    expect(() => committed.step('c', () => 1, nothing)).toThrow(InvalidSagaError);
  });

  it('take a step that returns any JSON, as the answer of a participant is', () => {
    const ask = async (): Promise<JsonValue | undefined> => ({ left: 2 });
    const checkout = saga('s', { input: Order })
      .step('a', ask, nothing)
      .step('b', () => [1, new Date(0)] as const, nothing)
      .pivot('c', ({ results }) => {
        expectTypeOf(results.a).toExtend<JsonValue | undefined>();
        expectTypeOf(results.b).toEqualTypeOf<readonly [1, string]>();
      });
    expect(checkout.name).toBe('s');
  });

  it('refuse, as the build does, a second pivot and a name that is taken', () => {
    const open = saga('s', { input: Order }).step('a', () => 1, nothing);
    // @ts-expect-error the name is taken
    expect(() => open.step('a', () => 1, nothing)).toThrow('two steps are named a');
    const committed = open.pivot('b', () => 1);
    // @ts-expect-error there is one pivot
    expect(() => committed.pivot('c', () => 1)).toThrow('second pivot');
    // @ts-expect-error the name is taken
    expect(() => committed.step('b', () => 1)).toThrow(InvalidSagaError);
  });
});
