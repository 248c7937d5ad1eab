import { describe, expect, it } from 'vitest';
import { declaredIt } from '../../src/testing/conformance/test-api.ts';

describe('declaredIt', () => {
  it('reports an excepted test by its name and the reason, and runs the others', async () => {
    const declared: { name: string; body: () => Promise<void> }[] = [];
    const api = {
      describe: () => {},
      it: (name: string, body: () => Promise<void>) => void declared.push({ name, body }),
    };
    const test = declaredIt(api, { watches: 'the protocol has no watch' });
    const ran: string[] = [];
    test('watches', async () => void ran.push('watches'));
    test('lists', async () => void ran.push('lists'));
    test('toString', async () => void ran.push('toString'));
    for (const { body } of declared) await body();
    expect(declared.map((d) => d.name)).toEqual([
      'watches (cannot: the protocol has no watch)',
      'lists',
      'toString',
    ]);
    expect(ran).toEqual(['lists', 'toString']);
  });
});
