import { describe, expect, it } from 'vitest';
import { NotRunningError } from '../../src/core/errors.ts';
import { InFlight, Lifecycle } from '../../src/core/lifecycle.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';

/** A promise with its two ends. */
function gate(): { readonly promise: Promise<void>; open(): void; fail(error: Error): void } {
  let open = (): void => {};
  let fail = (_error: Error): void => {};
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

/** A lifecycle with a log of what it did. */
function observed(): {
  lifecycle: Lifecycle;
  log: string[];
  begin: () => Promise<void>;
  end: () => Promise<void>;
} {
  const log: string[] = [];
  return {
    lifecycle: new Lifecycle('registry'),
    log,
    begin: async () => void log.push('begin'),
    end: async () => void log.push('end'),
  };
}

describe('Lifecycle', () => {
  it('goes idle, running, stopped', async () => {
    const { lifecycle, log, begin, end } = observed();
    expect(lifecycle.state).toBe('idle');
    expect(() => lifecycle.assertRunning()).toThrow('registry is idle: call `await start()` first');
    await lifecycle.start(begin);
    expect(lifecycle.state).toBe('running');
    lifecycle.assertRunning();
    await lifecycle.stop(end);
    expect(lifecycle.state).toBe('stopped');
    expect(() => lifecycle.assertRunning()).toThrow('make a new one');
    expect(log).toEqual(['begin', 'end']);
  });

  it('begins once for concurrent and repeated starts', async () => {
    const { lifecycle, log, begin } = observed();
    await Promise.all([lifecycle.start(begin), lifecycle.start(begin)]);
    await lifecycle.start(begin);
    expect(log).toEqual(['begin']);
  });

  it('ends once for concurrent and repeated stops, and refuses to start again', async () => {
    const { lifecycle, log, begin, end } = observed();
    await lifecycle.start(begin);
    await Promise.all([lifecycle.stop(end), lifecycle.stop(end)]);
    await lifecycle.stop(end);
    expect(log).toEqual(['begin', 'end']);
    await expect(lifecycle.start(begin)).rejects.toThrow(NotRunningError);
  });

  it('may be started again after a failed start', async () => {
    const { lifecycle, log, begin, end } = observed();
    const fail = (): Promise<void> => Promise.reject(new Error('port taken'));
    await expect(Promise.all([lifecycle.start(fail), lifecycle.start(fail)])).rejects.toThrow('port taken');
    expect(lifecycle.state).toBe('idle');
    await lifecycle.start(begin);
    await lifecycle.stop(end);
    expect(log).toEqual(['begin', 'end']);
  });

  it('waits with a stop for a start under way, and is not running in between', async () => {
    const { lifecycle, log, end } = observed();
    const { promise, open } = gate();
    const starting = lifecycle.start(async () => {
      await promise;
      log.push('begun');
    });
    const stopping = lifecycle.stop(end);
    expect(lifecycle.state).toBe('stopping');
    expect(() => lifecycle.assertRunning()).toThrow(NotRunningError);
    open();
    await Promise.all([starting, stopping]);
    expect(log).toEqual(['begun', 'end']);
    expect(lifecycle.state).toBe('stopped');
  });

  it('ends nothing when the start under way fails', async () => {
    const { lifecycle, log, end } = observed();
    const { promise, fail } = gate();
    const starting = lifecycle.start(() => promise);
    const stopping = lifecycle.stop(end);
    fail(new Error('port taken'));
    await expect(starting).rejects.toThrow('port taken');
    await stopping;
    expect(log).toEqual([]);
    expect(lifecycle.state).toBe('stopped');
  });

  it('ends nothing when it was never started', async () => {
    const { lifecycle, log, end } = observed();
    await lifecycle.stop(end);
    expect(log).toEqual([]);
    expect(lifecycle.state).toBe('stopped');
  });

  it('is stopped even when ending fails', async () => {
    const { lifecycle, begin } = observed();
    await lifecycle.start(begin);
    await expect(lifecycle.stop(() => Promise.reject(new Error('stuck')))).rejects.toThrow('stuck');
    expect(lifecycle.state).toBe('stopped');
  });
});

describe('InFlight', () => {
  it('counts entries and promises; leaving twice counts once', async () => {
    const inFlight = new InFlight();
    const leave = inFlight.enter();
    inFlight.enter();
    leave();
    leave();
    expect(inFlight.size).toBe(1);
    const { promise, fail } = gate();
    const tracked = inFlight.track(promise);
    expect(inFlight.size).toBe(2);
    fail(new Error('no'));
    await expect(tracked).rejects.toThrow('no');
    expect(inFlight.size).toBe(1);
  });

  it('is drained at once when empty, when the last has left, or not within the timeout', async () => {
    const clock = new ManualClock();
    const inFlight = new InFlight();
    expect(await inFlight.drained(clock, 0)).toBe(true);
    const leave = inFlight.enter();
    const [short, long] = [inFlight.drained(clock, 100), inFlight.drained(clock, 1_000)];
    await clock.advance(100);
    expect(await short).toBe(false);
    leave();
    expect(await long).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
