import { describe, expect, it } from 'vitest';
import { engine } from './engine.ts';
import { simulate } from './simulate.ts';

const given = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
// Fixed, so that a change is judged by the same worlds as the one before; `FIRST=` explores others.
const first = given ?? Number(process.env.FIRST ?? 2026);
const sagasPerWorld = 100;
// A taste for every run; `WORLDS=200` is what the system tests ask for.
const worlds = given === undefined ? Number(process.env.WORLDS ?? 40) : 1;

describe('the saga engine in a world where everything goes wrong', () => {
  it(`ends ${worlds * sagasPerWorld} sagas truthfully (replay a failing world with its SEED=; first ${first})`, {
    timeout: 120_000,
  }, async () => {
    const total = new Map<string, number>();
    for (let world = 0; world < worlds; world += 1) {
      const { seed, breaches, counts } = await simulate(engine, first + world, sagasPerWorld);
      expect(breaches, `SEED=${seed}`).toEqual([]);
      for (const [what, count] of counts) total.set(what, (total.get(what) ?? 0) + count);
    }
    console.log(`SEED=${first}`, Object.fromEntries(total));
    if (given === undefined) {
      for (const end of ['completed', 'compensated', 'parked', 'resolved', 'crash', 'freeze', 'redeploy']) {
        expect(total.get(end), end).toBeGreaterThan(worlds / 4);
      }
    }
  });
});
