import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rerun } from '../../src/config/rerun.ts';

/** Work that can be held, and tells when it was begun and how often at once. */
function subject(): { rerun: Rerun<number>; end: () => void; runs: () => number; most: () => number } {
  const ends: (() => void)[] = [];
  let [runs, running, most] = [0, 0, 0];
  const rerun = new Rerun(async () => {
    runs += 1;
    const run = runs;
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running -= 1;
    if (run % 3 === 0) throw new Error(`run ${run}`);
    return run;
  });
  return { rerun, end: () => ends.shift()?.(), runs: () => runs, most: () => most };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Rerun', () => {
  it('serves all requests that come during a run by one more', async () => {
    const { rerun, end, runs } = subject();
    const first = rerun.request();
    const during = [rerun.request(), rerun.request()];
    end();
    expect(await first).toBe(1);
    end();
    expect(await Promise.all(during)).toEqual([2, 2]);
    expect(runs()).toBe(2);
  });

  it('begins no run beside the one that is due, though asked at the very moment the last has ended', async () => {
    const { rerun, end, runs, most } = subject();
    const first = rerun.request();
    const atTheEnd = first.then(() => rerun.request());
    const due = rerun.request();
    end();
    await turn();
    end();
    expect(await Promise.all([atTheEnd, due])).toEqual([2, 2]);
    expect([runs(), most()]).toEqual([2, 1]);
  });

  it('never overlaps, and gives each request a run that began after it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('ask', 'end', 'turn', 'ask at the end')), async (steps) => {
        const { rerun, end, runs, most } = subject();
        const answers: Promise<void>[] = [];
        const ask = (): Promise<unknown> => {
          const before = runs();
          const answer = rerun.request();
          const run = answer.catch((error: Error) => Number(error.message.slice(4)));
          answers.push(run.then((number) => expect(number).toBeGreaterThan(before)));
          return run;
        };
        for (const step of steps) {
          if (step === 'ask') ask();
          else if (step === 'end') end();
          else if (step === 'turn') await turn();
          else void ask().then(() => void ask());
        }
        for (let left = 2 * steps.length + 2; left > 0; left -= 1) {
          end();
          await turn();
        }
        await Promise.all(answers);
        expect(most()).toBeLessThanOrEqual(1);
      }),
      { numRuns: 100 },
    );
  });
});
