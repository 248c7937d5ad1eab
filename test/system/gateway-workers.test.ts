/** A router with real workers: a program of its own, since each worker runs the whole program. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('gateway-program.mjs', import.meta.url));

interface Said {
  readonly address?: { readonly url: string; readonly port: number };
  readonly exited?: { readonly pid: number; readonly code: number | null; readonly restartIn?: number };
  readonly stopped?: { readonly drained: boolean };
}

interface Gateway {
  readonly child: ChildProcess;
  readonly said: Said[];
  readonly errors: () => string;
  readonly ended: Promise<number | null>;
}

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(...args: string[]): Gateway {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const said: Said[] = [];
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    said.push(...lines.map((line) => JSON.parse(line) as Said));
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, said, errors: () => errors, ended };
}

async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const listening = (gateway: Gateway): Promise<string> =>
  until(() => {
    if (gateway.child.exitCode !== null) throw new Error(gateway.errors());
    return gateway.said.find(({ address }) => address !== undefined)?.address?.url;
  });

/** A request on a connection of its own, so that each may reach another worker. */
function ask(url: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, agent: new Agent() }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

/** The processes that answer. */
async function pids(url: string, count: number): Promise<number[]> {
  const found = new Set<number>();
  await until(async () => {
    found.add(Number((await ask(`${url}/pid`)).body));
    return found.size >= count ? true : undefined;
  });
  return [...found];
}

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a router with workers', () => {
  it('serves by several processes, none of which is the primary', async () => {
    const gateway = start();
    const url = await listening(gateway);
    const serving = await pids(url, 2);
    expect(serving).toHaveLength(2);
    expect(serving).not.toContain(gateway.child.pid);
  });

  it('counts rate limits for all workers together, and three limits apart, in whatever order they are made', async () => {
    const url = await listening(start('0', '3'));
    await pids(url, 3);
    const statuses = async (path: string, client: string): Promise<number[]> => {
      const answers = Array.from({ length: 60 }, () => ask(`${url}${path}`, { 'x-client': client }));
      return (await Promise.all(answers)).map(({ status }) => status);
    };
    const passed = (all: number[]): number => all.filter((status) => status === 200).length;
    const ann = await statuses('/limited', 'ann');
    expect(passed(ann)).toBe(20);
    expect(ann.filter((status) => status === 429)).toHaveLength(40);
    expect(passed(await statuses('/limited', 'bob'))).toBe(20);
    expect(passed(await statuses('/other', 'ann'))).toBe(20);
    expect(passed(await statuses('/wide', 'ann'))).toBe(25);
  });

  it('starts another worker for one that died, after a while that grows', async () => {
    const gateway = start();
    const url = await listening(gateway);
    const [first, second] = await pids(url, 2);
    process.kill(first!, 'SIGKILL');
    const died = await until(() => gateway.said.find(({ exited }) => exited?.pid === first)?.exited);
    expect(died.restartIn).toBeGreaterThan(0);
    expect((await ask(`${url}/pid`)).body).toBe(String(second));
    const later = await until(async () => {
      const pid = Number((await ask(`${url}/pid`)).body);
      return pid === second ? undefined : pid;
    });
    process.kill(later, 'SIGKILL');
    const again = await until(() => gateway.said.find(({ exited }) => exited?.pid === later)?.exited);
    expect(again.restartIn).toBeGreaterThanOrEqual(died.restartIn!);
  });

  it('a signal lets every worker finish what is under way, and then everything ends', async () => {
    const gateway = start();
    const url = await listening(gateway);
    const serving = await pids(url, 2);
    const slow = Array.from({ length: 8 }, () => ask(`${url}/slow`));
    // They are under way once one of them, sent last, has been answered for on each worker.
    await pids(url, 2);
    gateway.child.kill('SIGTERM');
    const answers = await Promise.all(slow);
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(2);
    expect(await gateway.ended).toBe(0);
    expect(gateway.said.at(-1)).toEqual({ stopped: { drained: true } });
    expect(serving.filter(alive)).toEqual([]);
  });

  it('tells why a worker could not listen, and leaves none behind', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    try {
      const gateway = start(String((taken.address() as AddressInfo).port));
      expect(await gateway.ended).not.toBe(0);
      expect(gateway.errors()).toMatch(/WorkerError.*EADDRINUSE/s);
    } finally {
      taken.close();
    }
  });
});
