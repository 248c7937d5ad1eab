/** The same script on opossum 9 and on holdfast/opossum, under the same fake timers, must give the same log. */
import fc from 'fast-check';
import Opossum from 'opossum';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { CircuitBreaker } from '../../src/opossum/circuit-breaker.ts';
import type { CircuitBreakerOptions } from '../../src/opossum/options.ts';

/** opossum reads `Date` and Node's timers, so both run on those, faked. */
const holdTime = (): void => {
  vi.useFakeTimers({
    now: 0,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  });
};
afterEach(() => void vi.useRealTimers());

const clock: Clock = {
  now: () => Date.now(),
  wallTime: () => Date.now(),
  schedule: (delay, callback) => {
    const timer = setTimeout(callback, delay);
    return { cancel: () => clearTimeout(timer) };
  },
};

type Step = 'ok' | 'fail' | 'throw' | 'skip' | 'hang' | 'open' | 'close' | 'disable' | 'enable' | number;

const events = [
  'fire',
  'success',
  'failure',
  'timeout',
  'reject',
  'semaphoreLocked',
  'fallback',
  'open',
  'halfOpen',
  'close',
  'shutdown',
] as const;

/** What both have of opossum's interface. */
interface Breaker {
  fire(what: Step): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  fallback(answer: (what: Step, error: Error) => unknown): unknown;
  open(): void;
  close(): void;
  enable(): void;
  disable(): void;
  shutdown(): void;
  readonly opened: boolean;
  readonly closed: boolean;
  readonly halfOpen: boolean;
  readonly stats: Readonly<Record<string, unknown>>;
}

const action = async (what: Step): Promise<string> => {
  if (what === 'ok') return 'fine';
  if (what === 'hang') return new Promise(() => {});
  throw Object.assign(new Error(what === 'skip' ? 'not found' : 'down'), { skipped: what === 'skip' });
};

const thrower = (what: Step): Promise<string> => {
  if (what === 'throw') throw new Error('sync');
  return action(what);
};

const told = (value: unknown): unknown => {
  if (value instanceof Error) return `${value.message} ${(value as { code?: string }).code ?? ''}`;
  return value;
};

/** Runs a script and writes down everything that a user can see. */
async function logOf(breaker: Breaker, script: readonly Step[], withStats: boolean): Promise<unknown[]> {
  const log: unknown[] = [];
  for (const event of events) breaker.on(event, (...args) => log.push([event, ...args.map(told)]));
  for (const step of script) {
    if (typeof step === 'number') await vi.advanceTimersByTimeAsync(step);
    else if (step === 'open' || step === 'close' || step === 'enable' || step === 'disable') breaker[step]();
    else {
      breaker.fire(step).then(
        (result) => log.push(['resolved', result]),
        (error) => log.push(['rejected', told(error)]),
      );
      await vi.advanceTimersByTimeAsync(0);
    }
    log.push(breaker.opened ? 'opened' : breaker.halfOpen ? 'half-open' : 'closed');
    const { fires, successes, failures, rejects, timeouts, fallbacks, semaphoreRejections } = breaker.stats;
    if (withStats) {
      log.push([fires, successes, failures, rejects, timeouts, fallbacks, semaphoreRejections].join(' '));
    }
  }
  return log;
}

async function both(
  script: readonly Step[],
  options: CircuitBreakerOptions<[Step]> = {},
  prepare: (breaker: Breaker) => void = () => {},
  withStats = true,
) {
  const shared = { name: 'both', errorFilter: (e: unknown) => (e as { skipped?: boolean }).skipped === true };
  const logs: unknown[][] = [];
  for (const make of [
    () => new Opossum(thrower, { ...shared, ...options } as never) as unknown as Breaker,
    () => new CircuitBreaker(thrower, { ...shared, ...options, runtime: { clock } }) as unknown as Breaker,
  ]) {
    holdTime();
    const breaker = make();
    prepare(breaker);
    logs.push(await logOf(breaker, script, withStats));
    vi.useRealTimers();
  }
  return { theirs: logs[0]!, ours: logs[1]! };
}

/** Until it is closed for the first time: only ours forgets the failures of before. */
const untilClosed = (log: readonly unknown[]): unknown[] => {
  const at = log.findIndex((entry) => Array.isArray(entry) && entry[0] === 'close');
  return at < 0 ? [...log] : log.slice(0, at + 1);
};

const scripts: readonly (readonly [string, readonly Step[], CircuitBreakerOptions<[Step]>?])[] = [
  ['successes', ['ok', 'ok', 1_000, 'ok']],
  ['a failure that opens', ['fail', 'ok', 'ok']],
  ['exactly half failed, which does not open', ['ok', 'fail', 'ok', 'fail', 'ok', 'fail']],
  ['more than half failed', ['ok', 'fail', 'fail', 'ok']],
  ['a throwing action', ['throw']],
  ['a recovery', ['fail', 29_999, 'ok', 1, 'ok', 'ok']],
  ['a probe that fails', ['fail', 30_000, 'fail', 'ok', 30_000, 'ok']],
  ['one probe only', ['fail', 30_000, 'hang', 'ok', 'ok', 10_000], {}],
  ['a volume threshold', ['fail', 'fail', 'ok', 'fail', 'ok'], { volumeThreshold: 4 }],
  ['a threshold of 100, which never opens', ['fail', 'fail', 'fail'], { errorThresholdPercentage: 100 }],
  ['a threshold of 0', ['ok', 'fail', 'ok'], { errorThresholdPercentage: 0 }],
  ['a threshold of 100, by hand', ['open', 'ok', 30_000, 'fail', 'ok'], { errorThresholdPercentage: 100 }],
  ['a time limit', ['ok', 'ok', 'hang', 10_000, 'hang', 9_999, 1], {}],
  ['no time limit', ['hang', 60_000], { timeout: false }],
  ['a filtered error', ['skip', 'skip', 'fail', 'skip']],
  ['opening and closing by hand', ['open', 'open', 'ok', 'close', 'close', 'ok', 'open', 30_000]],
  ['disabled and enabled', ['disable', 'fail', 'fail', 'enable', 'ok', 'fail']],
  ['disabled from the start', ['fail', 'fail', 'enable', 'ok', 'ok'], { enabled: false }],
  [
    'warming up',
    ['fail', 'fail', 500, 'fail', 500, 'fail', 'ok'],
    { allowWarmUp: true, rollingCountTimeout: 1_000 },
  ],
  ['a window that forgets', ['ok', 'ok', 'ok', 5_000, 'ok', 5_000, 'fail', 'fail', 20_000]],
  ['few buckets', ['ok', 500, 'ok', 500, 'ok', 500], { rollingCountTimeout: 1_000, rollingCountBuckets: 2 }],
];

describe('holdfast/opossum, beside opossum', () => {
  it.each(scripts.map(([name, script, options]) => ({ name, script, options })))(
    'does the same: $name',
    async ({ script, options }) => {
      const { theirs, ours } = await both(script, options);
      expect(ours).toEqual(theirs);
    },
  );

  it('does the same with a fallback', async () => {
    const { theirs, ours } = await both(['fail', 'ok', 'hang', 30_000, 'skip'], {}, (breaker) => {
      breaker.fallback((what, error) => `instead of ${what}: ${error.message}`);
    });
    expect(ours).toEqual(theirs);
  });

  it('does the same with a fallback that throws', async () => {
    const { theirs, ours } = await both(['fail', 'ok'], {}, (breaker) => {
      breaker.fallback(() => {
        throw new Error('worse');
      });
    });
    expect(ours).toEqual(theirs);
  });

  it('does the same when shut down', async () => {
    const { theirs, ours } = await both(['ok', 'fail'], {}, (breaker) => breaker.shutdown(), false);
    expect(ours.filter((entry) => Array.isArray(entry))).toEqual(
      theirs.filter((entry) => Array.isArray(entry)),
    );
  });

  it('does the same without a free slot', async () => {
    const { theirs, ours } = await both(['hang', 'ok'], { capacity: 1, errorThresholdPercentage: 100 });
    expect(ours).toEqual(theirs);
  });

  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<Step>('ok', 'ok', 'fail', 'skip', 'throw') },
    { weight: 2, arbitrary: fc.constantFrom<Step>(100, 1_000, 2_500, 9_999) },
    { weight: 1, arbitrary: fc.constantFrom<Step>('open', 30_000) },
  );

  it('does the same in random scripts, until it closes again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.constantFrom(0, 25, 50, 75, 100),
        async (script, errorThresholdPercentage) => {
          const { theirs, ours } = await both(script, { errorThresholdPercentage });
          expect(untilClosed(ours)).toEqual(untilClosed(theirs));
        },
      ),
      { numRuns: 300, seed: 20_260_101 },
    );
  });
});
