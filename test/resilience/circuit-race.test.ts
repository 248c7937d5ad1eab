/** Half-open under races: fast-check's scheduler chooses in which order probes settle, callers come and time passes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

type Outcome = 'succeeds' | 'fails' | 'ignored' | 'leaves';

const permits = 3;
const seed = 2027;

async function race(scheduler: fc.Scheduler, outcomes: readonly Outcome[]): Promise<void> {
  const runtime = testRuntime();
  const breaker = new CircuitBreaker({
    name: 'race',
    openFor: 100,
    halfOpen: { permits, maxWait: '10s' },
    ignore: (error) => error === 'ignored',
    runtime,
  });
  const changes: string[] = [];
  /** Since the breaker became half-open: probes begun, and of them those that gave their permit back. */
  let probes = 0;
  let returned = 0;
  breaker.on('halfOpened', () => {
    changes.push('half-open');
    probes = 0;
    returned = 0;
  });
  breaker.on('opened', () => changes.push('open'));
  breaker.on('closed', () => changes.push('closed'));
  breaker.on('ignored', () => {
    if (breaker.state === 'half-open') returned += 1;
  });
  breaker.trip();
  runtime.clock.advanceSync(100);

  const call = (outcome: Outcome, index: number): Promise<unknown> => {
    const caller = new AbortController();
    const work = async (): Promise<void> => {
      if (breaker.state === 'half-open') {
        probes += 1;
        expect(probes - returned).toBeLessThanOrEqual(permits);
      }
      await scheduler.schedule(Promise.resolve(), `call ${index} ${outcome}`);
      if (outcome === 'fails' || outcome === 'ignored') throw outcome;
      if (outcome === 'leaves') {
        caller.abort(new Error('gone'));
        await new Promise(() => {});
      }
    };
    return breaker.run(work, { signal: caller.signal }).catch(() => {});
  };
  const calls = outcomes.map((outcome, index) =>
    scheduler.schedule(Promise.resolve(), `caller ${index}`).then(() => call(outcome, index)),
  );
  const time = Promise.all(
    [1, 2, 3].map((n) =>
      scheduler.schedule(Promise.resolve(), `time ${n}`).then(() => runtime.clock.advanceSync(60)),
    ),
  );
  await scheduler.waitFor(Promise.all([...calls, time]));

  // Nothing is stuck: one round of successes ends the period, if need be by opening, and the next one closes.
  for (let round = 0; round < 2; round += 1) {
    runtime.clock.advanceSync(100);
    for (let n = 0; n < permits; n += 1) await breaker.run(() => 'ok').catch(() => {});
  }
  expect(breaker.state).toBe('closed');
  expect(runtime.clock.pending).toBe(0);
  // Each change is told once and follows from the one before.
  const follows: Record<string, string[]> = {
    open: ['half-open'],
    'half-open': ['open', 'closed'],
    closed: ['open'],
  };
  for (let n = 1; n < changes.length; n += 1) expect(follows[changes[n - 1]!]).toContain(changes[n]);
}

it(`never lets more probes through than permits, and never sticks, in any order (seed ${seed})`, async () => {
  const outcome = fc.constantFrom<Outcome>('succeeds', 'fails', 'ignored', 'leaves');
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(outcome, { minLength: 1, maxLength: 12 }), race),
    { seed, numRuns: 300 },
  );
}, 300_000);
