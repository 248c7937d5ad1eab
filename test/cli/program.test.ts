import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fileRegistry } from '../../src/adapters/file/registry.ts';
import { runCli } from '../../src/cli/program.ts';
import { table } from '../../src/cli/table.ts';
import { testIo } from './cli-io.ts';

// Real sockets on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 });

async function run(...args: string[]) {
  const io = testIo();
  const code = await runCli(args, io);
  return { code, ...io.written };
}

describe('holdfast', () => {
  it('tells its version and its help, which is no error', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run('--version')).toEqual({ code: 0, out: `${version}\n`, error: '' });
    const help = await run('--help');
    expect(help.code).toBe(0);
    expect(help.out).toContain('sidecar');
    expect(help.out).toContain('registry');
    expect((await run('sidecar', '--help')).out).toContain('--app-port <port>');
  });

  it.each([
    [['bogus'], "unknown command 'bogus'"],
    [['sidecar', '--bogus'], "unknown option '--bogus'"],
    [['sidecar', '--listen', '70000'], 'It must be a port from 0 to 65535'],
    [['sidecar', '--listen', '80x'], 'It must be a port'],
    [['sidecar', '--timeout', 'soon'], "'250ms'"],
    [['sidecar', '--retries', '-1'], 'whole number'],
    [['sidecar', '--env', 'NOVALUE'], 'NAME=value'],
    [['sidecar', '--log', 'xml'], 'text, json'],
    [['sidecar', '--app', 'a', '--app-port', '1'], 'holdfast: command line: --registry: got nothing'],
    [['sidecar', '--registry', 'memory:', '--app-port', '1'], 'app.name'],
    [['sidecar', '--registry', 'memory:', '--app', 'a'], 'app.port'],
    [['sidecar', '--registry', 'memory:', '--app', 'a b', '--app-port', '1'], 'app.name: got "a b"'],
    [['registry', 'list'], '--registry'],
    [['registry', 'list', '--registry', 'consul:x'], 'accepts file:<directory>'],
    [['registry', 'list', '--registry', 'file:'], 'accepts file:<directory>'],
  ])('refuses %j with exit code 2, saying why', async (args, why) => {
    const { code, out, error } = await run(...args);
    expect(error).toContain(why);
    expect(code).toBe(2);
    expect(out).toBe('');
  });

  it('shows the help, as an error, when nothing is asked', async () => {
    expect(await run()).toMatchObject({ code: 2, error: expect.stringContaining('Usage: holdfast') });
    expect(await run('registry')).toMatchObject({ code: 2 });
  });

  it('fails with exit code 1 when it was asked properly and could not', async () => {
    const missing = await run('sidecar', '--registry', 'memory:', '--config', '/nowhere/s.yaml');
    expect(missing).toMatchObject({ code: 1, error: expect.stringContaining('[HOLDFAST_CONFIG_SOURCE]') });
  });
});

describe('holdfast registry list', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const register = async (service: string, id: string, port: number) => {
    const registry = fileRegistry({ directory });
    const instance = { service, id, port, host: '127.0.0.1', url: `http://127.0.0.1:${port}`, secure: false };
    const rest = { status: 'up', weight: 1, tags: [], metadata: {} } as const;
    await registry.register({ ...instance, ...rest }, { ttl: 60_000 });
    await registry.close();
  };

  it('lists services and instances, as a table and as JSON', async () => {
    await register('payments', 'p-1', 3002);
    await register('orders', 'o-2', 3001);
    await register('orders', 'o-1', 3000);
    const { code, out } = await run('registry', 'list', '--registry', `file:${directory}`);
    expect(code).toBe(0);
    expect(out).toBe(
      [
        'SERVICE   INSTANCE  URL                    STATUS  VERSION  ZONE',
        'orders    o-1       http://127.0.0.1:3000  up      -        -',
        'orders    o-2       http://127.0.0.1:3001  up      -        -',
        'payments  p-1       http://127.0.0.1:3002  up      -        -',
        '',
      ].join('\n'),
    );
    const one = await run(
      'registry',
      'list',
      '--registry',
      `file:${directory}`,
      '--service',
      'orders',
      '--json',
    );
    expect(JSON.parse(one.out)).toMatchObject([
      { service: 'orders', instances: [{ id: 'o-1' }, { id: 'o-2' }] },
    ]);
  });

  it('says that there is nothing', async () => {
    expect((await run('registry', 'list', '--registry', `file:${directory}`)).out).toBe('no instances\n');
    expect((await run('registry', 'list', '--registry', `file:${directory}`, '--json')).out).toBe('[]\n');
  });
});

describe('table', () => {
  it('shows control characters, which could steer a terminal, as text', () => {
    expect(table(['A', 'B'], [['\x1b[2J', 'x\ny\u202e']])).toBe(
      'A         B\n\\x1b[2J  x\\x0ay\\x202e\n'.replace('A         B', 'A        B'),
    );
  });
});

describe('holdfast sidecar', () => {
  let directory = '';
  let app: Server;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
    app = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    await new Promise((resolve) => app.close(resolve).closeAllConnections());
    await rm(directory, { recursive: true });
  });

  const running = (flags: readonly string[]) => {
    const io = testIo();
    const { port } = app.address() as AddressInfo;
    const fixed = [
      '--registry',
      'memory:',
      '--app',
      'greeter',
      '--app-port',
      String(port),
      '--drain-delay',
      '0',
    ];
    return { io, ended: runCli(['sidecar', ...fixed, ...flags], io) };
  };

  it('prints one line with its addresses when ready, then the access log, and ends at a signal', async () => {
    const { io, ended } = running([]);
    await vi.waitFor(() => expect(io.written.out).toContain('ready'), 60_000);
    expect(io.written.out).toMatch(
      /^holdfast sidecar greeter: ready, inbound http:\S+:\d+, outbound http:\S+:\d+, admin http:\S+:\d+\n$/,
    );
    const inbound = /inbound (\S+),/.exec(io.written.out)![1]!;
    expect(await (await fetch(`${inbound}/a?b=c`)).text()).toBe('hello');
    io.signal();
    expect(await ended).toBe(0);
    const [, line] = io.written.out.split('\n');
    expect(JSON.parse(line!)).toMatchObject({ router: 'greeter-inbound', path: '/a', status: 200 });
    expect(io.written.error).toBe(
      ['app is healthy', 'draining', 'stopped', '']
        .map((text) => text && `holdfast sidecar greeter: ${text}`)
        .join('\n'),
    );
  });

  it('takes settings from a file; flags win', async () => {
    const config = join(directory, 's.yaml');
    await writeFile(config, 'app: { name: ignored }\ndrainTimeout: 1s\naccessLog: false\n');
    const { io, ended } = running(['--config', config, '--log', 'json']);
    await vi.waitFor(() => expect(io.written.out).toContain('"ready"'), 60_000);
    const told = io.written.out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    expect(told.map(({ app: name, event }) => [name, event])).toEqual([
      ['greeter', 'app-ready'],
      ['greeter', 'ready'],
    ]);
    await fetch(told[1].inbound);
    io.signal();
    expect(await ended).toBe(0);
    expect(io.written.out).not.toContain('"path"');
    expect(io.written.error).toBe('');
  });

  it('refuses a file with a setting that does not exist', async () => {
    const config = join(directory, 's.yaml');
    await writeFile(config, 'inbound: { prot: 1 }\n');
    const { io, ended } = running(['--config', config]);
    expect(await ended).toBe(2);
    expect(io.written.error).toContain('inbound.prot: got an unknown option');
  });
});
