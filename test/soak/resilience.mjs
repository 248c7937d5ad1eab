/** Every policy at once, with successes, failures, calls that are late, and callers that give up. */
import { setMaxListeners } from 'node:events';
import {
  adaptiveLimit,
  Bulkhead,
  CircuitBreaker,
  fallback,
  hedge,
  pipeline,
  RateLimiter,
  RetryBudget,
  retry,
  timeout,
} from 'holdfast/resilience';

/** How many calls are under way at once. */
const width = 100;

/** The real clock, with a count of the timers that are neither cancelled nor fired. */
function countedClock() {
  const alive = new Set();
  const clock = {
    now: () => performance.now(),
    wallTime: () => Date.now(),
    schedule(delay, callback, options) {
      if (delay === Number.POSITIVE_INFINITY) return { cancel() {} };
      const fire = () => {
        alive.delete(timer);
        callback();
      };
      const timer = setTimeout(fire, delay);
      if (!options?.hold) timer.unref();
      alive.add(timer);
      return {
        cancel: () => {
          alive.delete(timer);
          clearTimeout(timer);
        },
      };
    },
  };
  return { clock, alive };
}

export function soak(signal) {
  // A tenth of the calls under way listen to it at once, and more than once each.
  setMaxListeners(0, signal);
  const { clock, alive } = countedClock();
  const runtime = { clock };
  const breaker = new CircuitBreaker({ name: 'soak', window: '1s', openFor: '5ms', latency: '1s', runtime });
  const policy = pipeline(
    fallback(() => 'instead', { runtime }),
    new RateLimiter({ name: 'soak', limit: 10_000_000, per: '1s', runtime }),
    retry({ attempts: 2, backoff: 1, budget: new RetryBudget({ runtime }), runtime }),
    hedge({ delay: '50ms', runtime }),
    breaker,
    adaptiveLimit({ name: 'soak', initial: width, min: width, max: 2 * width, runtime }),
    timeout('1s', { runtime }),
    new Bulkhead({ name: 'soak', limit: width, queue: width, runtime }),
  );
  const down = new Error('down');
  const counts = { instead: 0, done: 0, aborted: 0 };
  // Failures come in bursts, so that the breaker opens, probes and closes again and again.
  const work = (number) => (context) => {
    if (number % 20_000 < 400) return Promise.reject(down);
    if (number % 5_000 === 4_999) {
      return new Promise((resolve) => setTimeout(resolve, 2, 'done'));
    }
    // Reading the signal is what makes a controller.
    return number % 10 === 5 && context.signal.aborted ? 'aborted' : Promise.resolve('done');
  };
  const call = async (number) => {
    const leaves = number % 1_000 === 999 ? new AbortController() : undefined;
    const options =
      leaves !== undefined ? { signal: leaves.signal } : number % 10 === 0 ? { signal } : undefined;
    const result = policy.run(work(number), options);
    leaves?.abort(new Error('gone'));
    try {
      counts[await result] += 1;
    } catch {
      counts.aborted += 1;
    }
  };
  let made = 0;
  const run = async (count) => {
    const end = made + count;
    const worker = async () => {
      while (made < end) {
        made += 1;
        await call(made);
      }
    };
    await Promise.all(Array.from({ length: width }, worker));
    // Work whose caller left may still be under way.
    await new Promise((resolve) => setTimeout(resolve, 60));
  };
  const summary = () =>
    `${made} calls: ${counts.done} done, ${counts.instead} answered by the fallback, ${counts.aborted} given up; ` +
    `breaker: ${JSON.stringify(breaker.metrics.totals)}`;
  return { run, timers: () => alive.size, summary };
}
