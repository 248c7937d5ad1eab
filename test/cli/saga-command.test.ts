import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { sqliteSagaStore } from '../../src/adapters/sqlite/saga-store.ts';
import { runCli } from '../../src/cli/program.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { openSqlite } from '../conformance/sqlite-drivers.ts';
import { testIo } from './cli-io.ts';

vi.setConfig({ testTimeout: 30_000 });

async function run(...args: string[]) {
  const io = testIo();
  const code = await runCli(['saga', ...args], io);
  return { code, ...io.written };
}

/** What the child of a step does; by a message, so that a definition in a file can be the same shape. */
const shop = saga('shop', { input: z.object({ parcel: z.string() }) })
  .pivot('pay', () => ({ receipt: 'r-1' }))
  .step('ship', ({ input }) => {
    if (input.parcel === 'lost') throw new Error('no such depot');
    return 'shipped';
  });

describe('holdfast saga', () => {
  let directory = '';
  let file = '';
  let address = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-saga-'));
    file = join(directory, 'sagas.db');
    address = `sqlite:${file}`;
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** Two sagas: o1 is parked at its shipping, o2 is completed. */
  async function stocked(): Promise<void> {
    const database = openSqlite(file);
    const store = sqliteSagaStore({ database });
    const sagas = await new SagaRunner({ store, sagas: [shop], retry: { attempts: 1 } }).start();
    await sagas.run(shop, { parcel: 'lost' }, { id: 'o1' }).catch(() => {});
    await sagas.run(shop, { parcel: 'p' }, { id: 'o2' });
    await sagas.stop();
    database.close();
  }

  const statusOf = async (id: string): Promise<string> =>
    JSON.parse((await run('show', id, '--store', address, '--json')).out).status;

  it('lists by every filter, as a table and as JSON', async () => {
    await stocked();
    const all = await run('list', '--store', address);
    expect(all.code).toBe(0);
    const [heading, ...lines] = all.out.trimEnd().split('\n');
    expect(heading).toMatch(/^ID +SAGA +STATUS +VERSION +CREATED +UPDATED +REASON$/);
    expect(lines.map((line) => line.split(/ +/).slice(0, 4).join(' '))).toEqual([
      'o2 shop completed 1',
      'o1 shop parked 1',
    ]);
    expect(lines[1]).toContain('no such depot');
    const ids = async (...filters: string[]): Promise<string[]> => {
      const { out } = await run('list', '--store', address, '--json', ...filters);
      return JSON.parse(out).map(({ id }: { id: string }) => id);
    };
    expect(await ids('--status', 'parked')).toEqual(['o1']);
    expect(await ids('--status', 'parked', 'completed', 'running')).toEqual(['o2', 'o1']);
    expect(await ids('--saga', 'other')).toEqual([]);
    expect(await ids('--id-prefix', 'o', '--limit', '1')).toEqual(['o2']);
    expect(await ids('--limit', '0')).toEqual([]);
    expect(await ids('--definition-version', '2')).toEqual([]);
    expect(await ids('--since', '1h')).toHaveLength(2);
    expect(await ids('--before', '1h')).toEqual([]);
    expect(await ids('--since', '2001-01-01', '--before', '2001-02-01T00:00:00Z')).toEqual([]);
    expect((await run('list', '--store', address, '--saga', 'other')).out).toBe('no sagas\n');
  });

  it('shows one saga and what happened to it', async () => {
    await stocked();
    const { out } = await run('show', 'o1', '--store', address);
    expect(out).toMatch(/^id +o1\nsaga +shop, version 1, shape [0-9a-f]{16}\nstatus +parked\nreason +ship /);
    expect(out).toMatch(/parked at +ship, can be skipped\n/);
    expect(out).toMatch(/result pay +\{"receipt":"r-1"\}\n/);
    expect(out).toMatch(/began\n.* pay done\n.*parked at ship: ship .*no such depot\n$/);
    const { timeline, ...record } = JSON.parse((await run('show', 'o1', '--store', address, '--json')).out);
    expect(record).toMatchObject({ id: 'o1', parkedAt: { step: 'ship', operation: 'do', skippable: true } });
    expect(timeline.at(-1)).toMatchObject({ type: 'parked', step: 'ship' });
    expect(await run('show', 'o9', '--store', address)).toMatchObject({
      code: 1,
      error: 'holdfast: there is no saga o9 in the store [HOLDFAST_UNKNOWN_SAGA]\n',
    });
  });

  it('passes over a pivot that is done once by its name only', async () => {
    const database = openSqlite(file);
    const transfer = saga('transfer', { input: z.object({}) }).pivot(
      'pay',
      () => {
        throw new Error('reset');
      },
      { once: true },
    );
    const sagas = await new SagaRunner({ store: sqliteSagaStore({ database }), sagas: [transfer] }).start();
    await sagas.run(transfer, {}, { id: 't' }).catch(() => {});
    await sagas.stop();
    database.close();
    expect((await run('show', 't', '--store', address)).out).toMatch(
      /parked at +pay, can be skipped, by who knows that it happened: --step pay\n/,
    );
    const skip = ['skip', 't', '--store', address, '--reason', 'the bank shows it', '--by', 'ann'];
    expect(await run(...skip)).toMatchObject({
      code: 1,
      error: expect.stringContaining("by its name, step: 'pay'"),
    });
    expect(await run(...skip, '--step', 'refund')).toMatchObject({
      code: 1,
      error: expect.stringContaining('it is parked at pay, not at refund'),
    });
    expect(await run(...skip, '--step', 'pay')).toMatchObject({ code: 0, out: 't: running\n' });
  });

  it('draws one, by the definitions of a module', async () => {
    await stocked();
    const module = join(directory, 'sagas.mjs');
    const source = (steps: string): string =>
      `export const name = 'x'; export const all = [${JSON.stringify({
        name: 'shop',
        hash: 'HASH',
        definition: { plan: { steps: [] } },
      })
        .replace('HASH', steps)
        .replace('"steps":[]', `"steps":${JSON.stringify(shop.definition.plan.steps)}`)}];`;
    await writeFile(module, source(shop.hash));
    const drawn = await run('show', 'o1', '--store', address, '--diagram', '--sagas', module);
    expect(drawn.error).toBe('');
    expect(drawn.out).toMatch(
      /^id +o1\n[\s\S]*parked at ship: [\s\S]*\n\nflowchart TD\n[\s\S]*class s1 parked\n/,
    );
    const json = await run('show', 'o1', '--store', address, '--diagram', '--sagas', module, '--json');
    expect(JSON.parse(json.out).diagram).toMatch(/^flowchart TD\n/);
    const other = join(directory, 'other.mjs');
    await writeFile(other, source('another'));
    const show = ['show', 'o1', '--store', address, '--diagram'];
    expect(await run(...show, '--sagas', other)).toMatchObject({
      code: 2,
      error: expect.stringContaining(
        `exports shop of shape another); accepts a module that exports shop of shape ${shop.hash}`,
      ),
    });
    expect(await run(...show, '--sagas', '/nowhere.mjs')).toMatchObject({
      code: 2,
      error: expect.stringContaining('cannot be loaded'),
    });
    expect(await run(...show)).toMatchObject({
      code: 2,
      error: expect.stringContaining('--sagas: got nothing'),
    });
    expect(pathToFileURL(module).href).toContain('sagas.mjs');
  });

  it('repairs what is parked, and says by whom and why', async () => {
    await stocked();
    const retried = await run(
      'retry',
      'o1',
      '--store',
      address,
      '--reason',
      'the depot is there',
      '--by',
      'ann',
    );
    expect(retried).toEqual({ code: 0, out: 'o1: running\n', error: '' });
    const { repairs } = JSON.parse((await run('show', 'o1', '--store', address, '--json')).out);
    expect(repairs).toMatchObject([{ action: 'retry', by: 'ann', reason: 'the depot is there' }]);
    const again = await run('retry', 'o1', '--store', address, '--reason', 'x');
    expect(again).toMatchObject({
      code: 1,
      out: '',
      error: expect.stringContaining('[HOLDFAST_SAGA_REPAIR]'),
    });
  });

  it('repairs several, goes on after one that it cannot, and then fails', async () => {
    await stocked();
    const skipped = await run('skip', 'o9', 'o2', 'o1', '--store', address, '--reason', 'sent by hand');
    expect(skipped).toMatchObject({ code: 1, out: 'o1: running\n' });
    expect(skipped.error.split('\n').filter(Boolean)).toHaveLength(2);
    const { repairs } = JSON.parse((await run('show', 'o1', '--store', address, '--json')).out);
    expect(repairs).toMatchObject([{ action: 'skip', by: userInfo().username, step: 'ship' }]);
  });

  it('resolves, as JSON', async () => {
    await stocked();
    const { code, out } = await run('resolve', 'o1', '--store', address, '--reason', 'paid back', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([{ id: 'o1', status: 'resolved', reason: 'paid back' }]);
    expect(await statusOf('o1')).toBe('resolved');
  });

  it('cancels, and says what became of it', async () => {
    await stocked();
    const late = await run('cancel', 'o2', '--store', address, '--reason', 'customer left');
    expect(late).toEqual({ code: 1, out: 'o2: too late, it is completed\n', error: '' });
    await run('retry', 'o1', '--store', address, '--reason', 'x');
    const asked = await run('cancel', 'o1', '--store', address, '--reason', 'customer left');
    expect(asked).toMatchObject({ code: 0, out: expect.stringContaining('not decided yet') });
    const waited = await run('cancel', 'o1', '--store', address, '--reason', 'y', '--wait', '10ms', '--json');
    expect(waited.code).toBe(1);
    expect(JSON.parse(waited.out)).toEqual({ id: 'o1', outcome: 'asked' });
    const { requests } = JSON.parse((await run('show', 'o1', '--store', address, '--json')).out);
    expect(requests).toHaveLength(1);
  });

  it('takes the store from the environment', async () => {
    await stocked();
    vi.stubEnv('HOLDFAST_SAGA_STORE', address);
    try {
      expect((await run('list', '--id-prefix', 'o1')).out).toContain('o1');
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('creates the tables by migrate, and no file otherwise', async () => {
    const missing = await run('list', '--store', address);
    expect(missing).toMatchObject({
      code: 1,
      error: expect.stringContaining('holdfast saga migrate creates one'),
    });
    expect(existsSync(file)).toBe(false);
    expect(await run('migrate', '--store', `${address}?prefix=shop_`)).toMatchObject({
      code: 0,
      out: 'sqlite: the tables are up to date\n',
    });
    const database = openSqlite(file);
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE name = 'shop_sagas'").all();
    database.close();
    expect(tables).toHaveLength(1);
  });

  it('creates no tables under a mistyped prefix, and says that there are none', async () => {
    await stocked();
    const listed = await run('list', '--store', `${address}?prefix=hodlfast_`);
    expect(listed).toMatchObject({
      code: 1,
      error: expect.stringContaining('there are no tables with the prefix "hodlfast_"'),
    });
    const database = openSqlite(file);
    const made = database.prepare("SELECT name FROM sqlite_master WHERE name LIKE 'hodlfast%'").all();
    // SQLite does not tell them apart, so it is no other prefix.
    expect((await run('list', '--store', `${address}?prefix=HOLDFAST_`)).code).toBe(0);
    database.exec('UPDATE holdfast_saga_schema SET version = 2');
    database.close();
    expect(made).toEqual([]);
    expect(await run('list', '--store', address)).toMatchObject({
      code: 1,
      error: expect.stringContaining('version 2 and this code knows 3'),
    });
  });

  it.each([
    [['list'], "required option '--store <address>' not specified"],
    [['list', '--store', 'oracle:x'], 'got "oracle:…"; accepts sqlite:<file>'],
    [['list', '--store', 'sqlite:'], 'accepts sqlite:<file>'],
    [['list', '--store', 'sqlite::memory:'], 'accepts sqlite:<file>'],
    [['list', '--store', 'x', '--status', 'lost'], 'running, waiting'],
    [['list', '--store', 'x', '--limit', '-1'], 'whole number'],
    [['list', '--store', 'x', '--since', 'yesterday'], 'how long ago'],
    [['retry', 'o1', '--store', 'x'], "required option '--reason <text>' not specified"],
    [['retry', '--store', 'x', '--reason', 'y'], "missing required argument 'ids'"],
    [['cancel', 'o1', '--store', 'x', '--reason', 'y', '--wait', 'soon'], "'250ms'"],
    [['bogus'], "unknown command 'bogus'"],
  ])('refuses %j with exit code 2, saying why', async (args, why) => {
    const { code, out, error } = await run(...args);
    expect(error).toContain(why);
    expect([code, out]).toEqual([2, '']);
  });

  it('refuses a repair without a reason that says something, and never shows a password', async () => {
    await stocked();
    const empty = await run('retry', 'o1', '--store', address, '--reason', ' ');
    expect(empty).toMatchObject({ code: 2, error: expect.stringContaining('reason') });
    for (const bad of ['postgres:user:hunter2@host', 'mysql://u:hunter2@h/db', 'redis:hunter2']) {
      const { error } = await run('list', '--store', bad);
      expect(error).not.toContain('hunter2');
    }
  });
});
