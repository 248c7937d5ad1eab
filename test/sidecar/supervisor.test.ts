import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { Launch } from '../../src/sidecar/app-process.ts';
import { afterCrash } from '../../src/sidecar/restart-policy.ts';
import { Supervisor } from '../../src/sidecar/supervisor.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { fakeLaunch } from './fake-process.ts';

const limits = { maxCrashes: 3, window: 60_000, minDelay: 200, maxDelay: 10_000 };

function supervised(launch: Launch) {
  const runtime = testRuntime();
  const log: string[] = [];
  const supervisor = new Supervisor({
    app: 'payments',
    launch,
    limits,
    stopTimeout: 5_000,
    runtime,
    listener: {
      started: (pid) => log.push(`started ${pid}`),
      exited: (exit, restartIn) =>
        log.push(`exited ${exit.code ?? exit.signal}${restartIn === undefined ? '' : ', again'}`),
      gaveUp: (error) => log.push(`gave up: ${error.message}`),
    },
  });
  return { runtime, log, supervisor };
}

describe('afterCrash', () => {
  const half = () => 0.5;

  it('waits longer after each crash, up to a maximum', () => {
    const patient = { ...limits, maxCrashes: 20, maxDelay: 1_000 };
    let crashes: readonly number[] = [];
    const delays: number[] = [];
    for (let now = 0; now < 6; now += 1) {
      const decision = afterCrash(crashes, now, patient, half);
      crashes = decision.crashes;
      if (decision.action === 'restart') delays.push(decision.delay);
    }
    expect(delays).toEqual([150, 300, 600, 750, 750, 750]);
  });

  it('gives up at the last crash of the window, and forgets crashes that are older', () => {
    expect(afterCrash([0, 30_000], 59_999, limits, half)).toMatchObject({ action: 'give-up' });
    expect(afterCrash([0, 30_000], 60_000, limits, half)).toMatchObject({
      action: 'restart',
      crashes: [30_000, 60_000],
    });
  });
});

describe('Supervisor', () => {
  it('starts the app again after a crash, with a wait in between', async () => {
    const fake = fakeLaunch();
    const { runtime, log, supervisor } = supervised(fake.launch);
    await supervisor.start();
    expect(supervisor.pid).toBe(1_000);
    fake.processes[0]!.end({ code: 1 });
    await runtime.clock.advance(0);
    expect(supervisor.pid).toBeUndefined();
    expect(log).toEqual(['started 1000', 'exited 1, again']);
    await runtime.clock.advance(200);
    expect(log.at(-1)).toBe('started 1001');
    expect(supervisor).toMatchObject({ pid: 1_001, restarts: 1 });
  });

  it('starts it again when it ends with code 0 too: a service has no reason to end', async () => {
    const fake = fakeLaunch();
    const { runtime, log, supervisor } = supervised(fake.launch);
    await supervisor.start();
    fake.processes[0]!.end({ code: 0 });
    await runtime.clock.advance(200);
    expect(log).toEqual(['started 1000', 'exited 0, again', 'started 1001']);
  });

  it('gives up after too many crashes within the window, and says how it ended', async () => {
    const fake = fakeLaunch();
    const { runtime, log, supervisor } = supervised(fake.launch);
    await supervisor.start();
    for (let crash = 0; crash < 3; crash += 1) {
      fake.processes.at(-1)!.end({ signal: 'SIGSEGV' });
      await runtime.clock.advance(1_000);
    }
    expect(fake.processes).toHaveLength(3);
    expect(log.at(-1)).toMatch(/gave up: app payments: given up after it ended 3 times .* by SIGSEGV/);
    expect(runtime.clock.pending).toBe(0);
  });

  it('counts a restart that cannot even begin as a crash', async () => {
    const fake = fakeLaunch();
    const { runtime, log, supervisor } = supervised(fake.launch);
    await supervisor.start();
    fake.failWith = new AppError('payments', 'no such file');
    fake.processes[0]!.end({ code: 1 });
    await runtime.clock.advance(10_000);
    expect(log.at(-1)).toContain('no such file');
    expect(log.at(-1)).toContain('gave up');
  });

  it('rejects the start, and does not try again, when the app cannot be started at all', async () => {
    const fake = fakeLaunch();
    const { runtime, supervisor } = supervised(fake.launch);
    fake.failWith = new AppError('payments', 'no such file');
    await expect(supervisor.start()).rejects.toBeInstanceOf(AppError);
    expect(runtime.clock.pending).toBe(0);
    await supervisor.stop();
  });

  it('stops with SIGTERM, and does not take that for a crash', async () => {
    const fake = fakeLaunch();
    const { runtime, log, supervisor } = supervised(fake.launch);
    await supervisor.start();
    await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(fake.processes[0]!.signals).toEqual(['SIGTERM']);
    expect(log).toEqual(['started 1000', 'exited SIGTERM']);
    expect(runtime.clock.pending).toBe(0);
  });

  it('kills an app that ignores SIGTERM after the stop timeout', async () => {
    const fake = fakeLaunch({ ignoresTerm: true });
    const { runtime, supervisor } = supervised(fake.launch);
    await supervisor.start();
    const stopped = supervisor.stop();
    await runtime.clock.advance(4_999);
    expect(fake.processes[0]!.signals).toEqual(['SIGTERM']);
    await runtime.clock.advance(1);
    expect(fake.processes[0]!.signals).toEqual(['SIGTERM', 'SIGKILL']);
    await stopped;
  });

  it('stops while it waits to start the app again', async () => {
    const fake = fakeLaunch();
    const { runtime, supervisor } = supervised(fake.launch);
    await supervisor.start();
    fake.processes[0]!.end({ code: 1 });
    await runtime.clock.advance(0);
    await supervisor.stop();
    await runtime.clock.advance(60_000);
    expect(fake.processes).toHaveLength(1);
  });

  it('stops an app whose start was under way', async () => {
    const fake = fakeLaunch();
    const { supervisor } = supervised(fake.launch);
    const started = supervisor.start();
    await supervisor.stop();
    await started;
    expect(fake.processes[0]!.signals).toContain('SIGTERM');
  });
});
