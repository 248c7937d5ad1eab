/** Load generators as clients: thousands of requests at once, none of them lost, failed or mixed up. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  closeAfterEach,
  listening,
  onCleanup,
  registryOf,
  type TestRouter,
  until,
  upstream,
} from '../gateway/support.ts';
import { describeProgram } from '../servers/describe-server.ts';
import { h2load, wrk } from '../servers/program-kind.ts';

closeAfterEach();

const page = 'x'.repeat(1_024);

async function between(): Promise<TestRouter & { readonly registry: ReturnType<typeof registryOf> }> {
  const serve = () =>
    upstream((request, response) => {
      request.resume();
      request.on('end', () => response.end(page));
    });
  const registry = registryOf({ pages: [(await serve()).url, (await serve()).url] });
  const front = await listening({ registry }, (it) => it.route('/*', { service: 'pages' }), { http2: true });
  return { ...front, registry };
}

describeProgram(h2load, (program) => {
  for (const [name, option] of [
    ['HTTP/2', '--no-tls-proto=h2c'],
    ['HTTP/1.1', '--h1'],
  ] as const) {
    it(`${name}: 2,000 requests, 8 connections, 10 at a time on each`, async () => {
      const { url, router, finished, registry } = await between();
      const { code, stdout } = await program.run(['-n', '2000', '-c', '8', '-m', '10', option, `${url}/`]);
      expect(code).toBe(0);
      expect(stdout).toContain(
        '2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout',
      );
      expect(stdout).toContain('status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx');
      await until(() => router.active === 0);
      expect([finished.length, registry.open, registry.repeated]).toEqual([2_000, 0, 0]);
    });
  }

  it('uploads by HTTP/2, with windows that fill', async () => {
    const { url, router } = await between();
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-h2load-'));
    onCleanup(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'body'), Buffer.alloc(200_000, 'b'));
    const { stdout } = await program.run([
      '-n',
      '100',
      '-c',
      '4',
      '-m',
      '5',
      '-d',
      join(folder, 'body'),
      `${url}/`,
    ]);
    expect(stdout).toContain('100 succeeded, 0 failed, 0 errored, 0 timeout');
    await until(() => router.active === 0);
  });
});

describeProgram(wrk, (program) => {
  it('no answer is missing, wrong or late', async () => {
    const { url, router, finished, registry } = await between();
    const { code, stdout } = await program.run([
      '-t',
      '1',
      '-c',
      '32',
      '-d',
      '1s',
      '--timeout',
      '30s',
      `${url}/`,
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\d+ requests in/);
    expect(stdout).not.toMatch(/Socket errors|Non-2xx/);
    await until(() => router.active === 0 && registry.open === 0);
    // Those that were under way when it stopped were left; nothing else may be.
    const asked = finished.filter(({ status, aborted }) => status !== 200 && !aborted);
    expect([asked, registry.repeated]).toEqual([[], 0]);
    expect(finished.length).toBeGreaterThanOrEqual(Number(/(\d+) requests in/.exec(stdout)?.[1]));
  });
});
