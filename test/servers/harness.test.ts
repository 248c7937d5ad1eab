import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { Conversation } from './conversation.ts';
import { findBinary } from './find-binary.ts';
import { freePorts } from './free-ports.ts';
import { redis } from './redis.ts';
import { startServer } from './server.ts';
import { until } from './until.ts';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-harness-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const hasRedis = findBinary(redis, redis.binary) !== undefined;

interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Run a fixture in a vitest of its own. */
async function runFixture(name: string, environment: Readonly<Record<string, string>>): Promise<Outcome> {
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const config = fileURLToPath(new URL('fixtures/vitest.config.ts', import.meta.url));
  const child = spawn(process.execPath, [vitest, 'run', '--config', config, name], {
    env: { ...process.env, NO_COLOR: '1', REDIS_URL: '', HOLDFAST_REQUIRE_SERVERS: '', ...environment },
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

async function answers(url: URL): Promise<boolean> {
  return Conversation.open(url).then(
    (conversation) => {
      conversation.close();
      return true;
    },
    () => false,
  );
}

describe('the harness for real servers', () => {
  it('says what is missing, how to get it, and how many tests that skips', async () => {
    const { code, output } = await runFixture('missing', {});
    expect(output).toContain('unobtainable missing (apt-get install redis-server), tests: 2 skipped');
    expect(output).toContain('unobtainable client missing (apt-get install curl), tests: 1 skipped');
    expect(code).toBe(0);
  });

  it('fails the run for a missing server when HOLDFAST_REQUIRE_SERVERS=1', async () => {
    const { code, output } = await runFixture('missing', { HOLDFAST_REQUIRE_SERVERS: '1' });
    expect(output).toContain('unobtainable is required and missing (apt-get install redis-server)');
    expect(output).toContain('unobtainable client is required and missing (apt-get install curl)');
    expect(code).toBe(1);
  });

  it.skipIf(!hasRedis)('leaves nothing behind when the test process is killed', async () => {
    const told = join(scratch, 'told');
    const { code } = await runFixture('dies', { HOLDFAST_TOLD: told });
    expect(code).toBe(1);
    const [url = '', directory = ''] = readFileSync(told, 'utf8').split(' ');
    expect(directory).toContain('holdfast-redis-');
    await until(() => !existsSync(directory), 'the directory being deleted');
    expect(await answers(new URL(url))).toBe(false);
  });

  it.skipIf(!hasRedis)('crashes and restarts on the same port, and stops for good', async () => {
    const server = await startServer({ ...redis, environment: 'NO_SUCH' });
    await server.crash();
    expect(await answers(server.url)).toBe(false);
    await server.restart();
    expect(await answers(server.url)).toBe(true);
    await server.stop();
    await server.stop();
    expect(await answers(server.url)).toBe(false);
    expect(existsSync(server.site?.directory ?? '')).toBe(false);
  });

  it.skipIf(!hasRedis)('shows the end of the log when a server does not start', async () => {
    const broken = {
      ...redis,
      environment: 'NO_SUCH',
      commands: () => [{ program: 'redis-server', arguments: ['--no-such-option', 'x'] }],
    };
    await expect(startServer(broken)).rejects.toThrow('no-such-option');
  });

  it('takes a server that a person named, and never kills it', async () => {
    process.env.HOLDFAST_NAMED = '127.0.0.1:5353';
    const server = await startServer({ ...redis, environment: 'HOLDFAST_NAMED' });
    delete process.env.HOLDFAST_NAMED;
    expect(server.url.href).toBe('redis://127.0.0.1:5353');
    expect(server.site).toBeUndefined();
    await expect(server.crash()).rejects.toThrow('HOLDFAST_NAMED');
    await server.stop();
  });

  it('finds free ports that differ', async () => {
    const ports = await freePorts(20);
    expect(new Set(ports).size).toBe(20);
  });
});
