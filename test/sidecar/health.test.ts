import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { HealthWatch, judge, unknownHealth } from '../../src/sidecar/health.ts';
import { connectProbe, httpProbe, type Probe } from '../../src/sidecar/probe.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

describe('judge', () => {
  it('changes its mind exactly when the last answers all speak against it', () => {
    const thresholds = fc.record({
      healthyAfter: fc.integer({ min: 1, max: 4 }),
      unhealthyAfter: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(thresholds, fc.array(fc.boolean(), { maxLength: 40 }), (limits, answers) => {
        let verdict = unknownHealth;
        let since = 0;
        for (const [index, healthy] of answers.entries()) {
          const before = verdict.up;
          verdict = judge(verdict, healthy, limits);
          const needed = before ? limits.unhealthyAfter : limits.healthyAfter;
          const last = answers.slice(Math.max(since, index + 1 - needed), index + 1);
          const expected =
            last.length === needed && last.every((answer) => answer !== before) ? !before : before;
          expect(verdict.up).toBe(expected);
          if (verdict.up !== before) since = index + 1;
        }
      }),
    );
  });
});

function watched(probe: Probe) {
  const runtime = testRuntime();
  const changes: boolean[] = [];
  const watch = new HealthWatch({
    probe,
    interval: 1_000,
    timeout: 500,
    healthyAfter: 1,
    unhealthyAfter: 3,
    runtime,
    onChange: (up) => changes.push(up),
  });
  return { runtime, changes, watch };
}

describe('HealthWatch', () => {
  it('asks eagerly until the app is up, then at the interval, and bears single failures', async () => {
    let healthy = false;
    let asked = 0;
    const { runtime, changes, watch } = watched(async () => {
      asked += 1;
      return healthy;
    });
    watch.start();
    await runtime.clock.advance(1_000);
    expect(asked).toBe(6);
    healthy = true;
    await runtime.clock.advance(200);
    expect(changes).toEqual([true]);
    healthy = false;
    await runtime.clock.advance(2_000);
    expect(changes).toEqual([true]);
    await runtime.clock.advance(1_000);
    expect(changes).toEqual([true, false]);
    watch.stop();
    expect(runtime.clock.pending).toBe(0);
  });

  it('takes an answer that does not come, and a throw, for no', async () => {
    let mode: 'yes' | 'hang' | 'throw' = 'yes';
    const { runtime, changes, watch } = watched(() => {
      if (mode === 'throw') throw new Error('broken');
      return mode === 'hang' ? new Promise(() => {}) : Promise.resolve(true);
    });
    watch.start();
    await runtime.clock.advance(0);
    mode = 'hang';
    await runtime.clock.advance(3_000);
    mode = 'throw';
    await runtime.clock.advance(2_000);
    expect(changes).toEqual([true, false]);
    watch.stop();
  });

  it('is down at once when the process has ended, also against a probe that is under way', async () => {
    let answer: (healthy: boolean) => void = () => {};
    const { runtime, changes, watch } = watched(() => new Promise((resolve) => (answer = resolve)));
    watch.start();
    answer(true);
    await runtime.clock.advance(1_000);
    watch.lost();
    answer(true);
    await runtime.clock.advance(0);
    expect(changes).toEqual([true, false]);
    await runtime.clock.advance(200);
    answer(true);
    await runtime.clock.advance(0);
    expect(changes).toEqual([true, false, true]);
    watch.stop();
  });

  it('says nothing after it was stopped', async () => {
    let answer: (healthy: boolean) => void = () => {};
    const { runtime, changes, watch } = watched(() => new Promise((resolve) => (answer = resolve)));
    watch.start();
    watch.stop();
    answer(true);
    watch.lost();
    await runtime.clock.advance(10_000);
    expect(changes).toEqual([]);
    expect(runtime.clock.pending).toBe(0);
  });
});

describe('probes', () => {
  const servers: Server[] = [];
  const listen = async (server: Server): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  const never = new AbortController().signal;
  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    [200, true],
    [302, true],
    [404, false],
    [503, false],
  ])('takes status %i for %s', async (status, healthy) => {
    const port = await listen(createHttpServer((_, response) => response.writeHead(status).end('x')));
    await expect(httpProbe('127.0.0.1', port, '/healthz')(never)).resolves.toBe(healthy);
  });

  it('does not wait for the end of an answer', async () => {
    const port = await listen(
      createHttpServer((_, response) => void response.writeHead(200).write('for ever')),
    );
    await expect(httpProbe('127.0.0.1', port, '/')(never)).resolves.toBe(true);
  });

  it('connects, or not', async () => {
    const server = createServer((socket) => socket.destroy());
    const port = await listen(server);
    await expect(connectProbe('127.0.0.1', port)(never)).resolves.toBe(true);
    await new Promise((resolve) => servers.pop()!.close(resolve));
    await expect(connectProbe('127.0.0.1', port)(never)).rejects.toThrow('ECONNREFUSED');
    await expect(httpProbe('127.0.0.1', port, '/')(never)).rejects.toThrow('ECONNREFUSED');
  });
});
