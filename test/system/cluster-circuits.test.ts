/** Circuit stores in real workers of node:cluster; this process is their primary. */
import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { relayCircuits } from '../../src/adapters/cluster.ts';
import type { Unsubscribe } from '../../src/core/emitter.ts';
import type { CircuitNotice, CircuitStore } from '../../src/ports/circuit-store.ts';
import { circuitStoreConformance } from '../../src/testing/conformance/circuit-store.ts';

/** Workers share two cores with others; a limit only ends what hangs. */
const patiently = { timeout: 60_000 };

interface Report {
  readonly ready?: true;
  readonly number?: number;
  readonly failed?: string;
  readonly watch?: number;
  readonly notice?: CircuitNotice;
  readonly said?: string;
  readonly warned?: string;
}

/** A worker, and what it has said. */
class Member {
  readonly worker: Worker = cluster.fork();
  readonly said: string[] = [];
  readonly warnings: string[] = [];
  readonly listeners: Map<number, (notice: CircuitNotice) => void> = new Map();
  readonly exited: Promise<number | null>;
  /** A cluster loses what is sent before the worker listens. */
  readonly #ready: Promise<void>;
  readonly #answers: Map<number, (report: Report) => void> = new Map();
  #commands = 0;

  constructor() {
    this.#ready = new Promise((resolve) => {
      this.worker.on('message', (report: Report) => {
        if (report.ready) resolve();
        this.#hear(report);
      });
    });
    // What is sent to one that was just killed is nobody's.
    this.worker.on('error', () => {});
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', (code) => resolve(code));
    });
  }

  async command(command: string, argument?: unknown): Promise<void> {
    await this.#ready;
    this.#commands += 1;
    const number = this.#commands;
    const { failed } = await new Promise<Report>((resolve) => {
      this.#answers.set(number, resolve);
      this.worker.send({ number, command, argument });
    });
    if (failed !== undefined) throw new Error(failed);
  }

  #hear({ number, failed, watch, notice, said, warned }: Report): void {
    if (said !== undefined) this.said.push(said);
    if (warned !== undefined) this.warnings.push(warned);
    if (watch !== undefined && notice !== undefined) this.listeners.get(watch)?.(notice);
    if (number !== undefined) this.#answers.get(number)?.(failed === undefined ? { number } : { failed });
  }
}

/** The store of a worker, as if it were here. */
function storeOf(member: Member): CircuitStore {
  return {
    name: 'cluster',
    publish: (notice) => member.command('publish', notice),
    watch: (listener) => {
      const watch = member.listeners.size;
      member.listeners.set(watch, listener);
      void member.command('watch', watch);
      return () => void member.command('unwatch', watch);
    },
    close: () => member.command('close'),
  };
}

const relays: Unsubscribe[] = [];
const members: Member[] = [];

function relay(): void {
  relays.push(relayCircuits(cluster));
}

function fork(): Member {
  const member = new Member();
  members.push(member);
  return member;
}

async function dismiss(all: readonly Member[]): Promise<void> {
  for (const { worker } of all) worker.process.kill('SIGKILL');
  await Promise.all(all.map(({ exited }) => exited));
}

beforeAll(() => {
  cluster.setupPrimary({ exec: fileURLToPath(new URL('cluster-worker.mjs', import.meta.url)), execArgv: [] });
});

afterEach(async () => {
  for (const off of relays.splice(0)) off();
  await dismiss(members.splice(0));
});

describe('in workers that stay', () => {
  const pair: Member[] = [];
  beforeAll(() => void pair.push(new Member(), new Member()));
  afterAll(() => dismiss(pair));

  circuitStoreConformance({
    api: { describe, it },
    name: 'node:cluster',
    create: async () => {
      // A new relay remembers nothing.
      relay();
      for (const member of pair) await member.command('create');
      const [store, other] = pair.map(storeOf) as [CircuitStore, CircuitStore];
      return {
        store,
        other,
        wallTime: () => Date.now(),
        advance: (duration) => new Promise((resolve) => setTimeout(resolve, duration)),
        close: async () => {
          await store.close();
          await other.close();
        },
      };
    },
  });
});

describe('clusterCircuitStore', () => {
  it('a worker opens within a second of another; one that died and is forked anew learns of it', async () => {
    relay();
    const [one, two] = [fork(), fork()];
    for (const member of [one, two]) await member.command('share');
    await one.command('fail');
    await expect.poll(() => one.said, patiently).toEqual(['consecutive-failures']);
    await expect.poll(() => two.said, { timeout: 60_000 }).toEqual(['shared']);
    // All that knew of it are gone but the primary.
    await dismiss([one, two]);
    const again = fork();
    await again.command('share');
    await expect.poll(() => again.said, patiently).toEqual(['shared']);
    expect([...one.warnings, ...two.warnings, ...again.warnings]).toEqual([]);
  });

  it('a primary that does not relay is told of, and calls go on; once it relays, the news arrive', async () => {
    const [one, two] = [fork(), fork()];
    for (const member of [one, two]) await member.command('share', { patience: 50 });
    await expect.poll(() => one.warnings, patiently).toHaveLength(1);
    expect(one.warnings[0]).toContain('call relayCircuits(cluster) in the primary');
    await one.command('fail');
    await expect.poll(() => one.said, patiently).toHaveLength(2);
    expect(one.said[0]).toBe('consecutive-failures');
    expect(one.said[1]).toContain('call relayCircuits(cluster)');
    expect(two.said).toEqual([]);
    relay();
    await expect.poll(() => two.said, patiently).toEqual(['shared']);
    expect(one.warnings).toHaveLength(1);
  });

  it('a store that watches keeps no worker alive that leaves the cluster', async () => {
    relay();
    const member = fork();
    await member.command('share');
    await member.command('leave');
    expect(await member.exited).toBe(0);
  });
});

describe('relayCircuits', () => {
  it('refuses what is no cluster of a primary', () => {
    for (const wrong of [undefined, {}, { isPrimary: false }]) {
      expect(() => relayCircuits(wrong as never)).toThrow(/accepts what node:cluster exports/);
    }
  });

  it('is not troubled by messages of the program, nor by what is no notice', async () => {
    relay();
    const [one, two] = [fork(), fork()];
    for (const member of [one, two]) await member.command('share');
    for (const message of [
      null,
      'text',
      7,
      { type: 'holdfast:circuits' },
      { type: 'holdfast:circuits', notice: 1 },
    ])
      cluster.emit('message', one.worker, message);
    await one.command('fail');
    await expect.poll(() => two.said, patiently).toEqual(['shared']);
  });
});
