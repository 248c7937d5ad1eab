import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DueHeap } from '../../../src/adapters/internal/due-heap.ts';
import { afterPrefix } from '../../../src/adapters/internal/saga-query.ts';

describe('afterPrefix', () => {
  const bytes = (text: string): Buffer => Buffer.from(text);
  const text = fc.string({ unit: 'binary', maxLength: 4 });

  it('ends the range of what begins with a prefix, in the order of bytes', () => {
    fc.assert(
      fc.property(text, text, text, (prefix, rest, other) => {
        const end = afterPrefix(prefix);
        const isInside = (id: string): boolean =>
          Buffer.compare(bytes(prefix), bytes(id)) <= 0 &&
          (end === undefined || Buffer.compare(bytes(id), bytes(end)) < 0);
        expect(isInside(prefix + rest)).toBe(true);
        expect(isInside(other)).toBe(other.startsWith(prefix));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['ab', 'ac'],
    ['\ud7ff', '\ue000'],
    ['a\u{10ffff}', 'b'],
    ['\u{10ffff}', undefined],
    ['', undefined],
  ])('of %j is %j', (prefix, expected) => {
    expect(afterPrefix(prefix)).toBe(expected);
  });
});

describe('DueHeap', () => {
  it('gives out what is due in order, whatever was added and taken out', () => {
    const operations = fc.array(fc.tuple(fc.constantFrom('add', 'add', 'delete', 'take'), fc.nat(50)), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(operations, (steps) => {
        const heap = new DueHeap<{ readonly dueAt: number; heapIndex: number }>();
        const model: { readonly dueAt: number; heapIndex: number }[] = [];
        for (const [operation, number] of steps) {
          if (operation === 'add') {
            const entry = { dueAt: number, heapIndex: -1 };
            heap.add(entry);
            model.push(entry);
          } else if (operation === 'delete') {
            const [entry] = model.splice(number % (model.length || 1), 1);
            if (entry !== undefined) heap.delete(entry);
          } else {
            const taken = heap.takeDue(number);
            const least = Math.min(...model.map(({ dueAt }) => dueAt));
            expect(taken?.dueAt).toBe(least <= number ? least : undefined);
            if (taken !== undefined) model.splice(model.indexOf(taken), 1);
          }
        }
        const left: number[] = [];
        for (let next = heap.takeDue(50); next !== undefined; next = heap.takeDue(50)) left.push(next.dueAt);
        expect(left).toEqual(model.map(({ dueAt }) => dueAt).sort((a, b) => a - b));
      }),
    );
  });
});
