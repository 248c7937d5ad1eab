/** The command itself, as a person calls it, on a file that a runner in another process parked a saga in. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseFlowchart } from '../saga/mermaid.ts';
import { until } from '../servers/until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sagas = fileURLToPath(new URL('saga-cli-sagas.mjs', import.meta.url));
const command = join(root, 'dist/cli/main.js');

async function execute(program: string, values: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const env = { ...process.env, ...environment };
  return promisify(execFile)(process.execPath, [program, ...values], { cwd: root, env });
}

describe('holdfast saga, as a program', () => {
  let directory = '';
  let file = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-saga-cli-'));
    file = join(directory, 'sagas.db');
  });
  afterEach(() => rm(directory, { recursive: true }));

  const holdfast = async (...values: string[]): Promise<string> =>
    (await execute(command, ['saga', ...values, '--store', `sqlite:${file}`])).stdout;
  const run = async (environment: NodeJS.ProcessEnv): Promise<unknown> =>
    JSON.parse((await execute(sagas, [file, 'o1'], environment)).stdout);

  it('repairs a parked saga, and the next runner goes on with it', async () => {
    expect(await holdfast('migrate')).toBe('sqlite: the tables are up to date\n');
    expect(await run({})).toEqual({ error: expect.stringContaining('is parked: ship') });
    const listed = JSON.parse(await holdfast('list', '--status', 'parked', '--json'));
    expect(listed).toMatchObject([{ id: 'o1', parkedAt: { step: 'ship' } }]);
    const { nodes } = await parseFlowchart(
      /^flowchart TD\n[\s\S]*/m.exec(await holdfast('show', 'o1', '--diagram', '--sagas', sagas))![0],
    );
    expect(nodes.get('ship<br/>retriable')).toEqual(['parked', 'current']);

    const reason = ['--by', 'ann', '--reason', 'the depot is open again'];
    expect(await holdfast('retry', 'o1', ...reason)).toBe('o1: running\n');
    expect(await run({ DEPOT: 'open' })).toMatchObject({ ship: { parcel: 'P-1' } });
    const shown = await holdfast('show', 'o1');
    expect(shown).toContain('retry by ann: the depot is open again');
    expect(shown.trimEnd()).toMatch(/completed$/);
    await expect(holdfast('cancel', 'o1', '--reason', 'x')).rejects.toMatchObject({
      code: 1,
      stdout: 'o1: too late, it is completed\n',
    });
  });

  it('repairs under a runner that lives, which takes the saga up', async () => {
    await run({});
    const env = { ...process.env, LIVE: 'yes' };
    const runner = execFile(process.execPath, [sagas, file, 'o1'], { cwd: root, env });
    let told = '';
    runner.stdout?.on('data', (text: string) => {
      told += text;
    });
    const ended = new Promise((resolve) => runner.on('exit', resolve));
    try {
      await until(async () => told.includes('ready'), 'the runner being ready');
      expect(await holdfast('skip', 'o1', '--reason', 'brought by hand')).toBe('o1: running\n');
      expect(await ended).toBe(0);
      expect(told).toBe('ready\n{"hold":{"item":"kelp"},"pay":{"receipt":"r-1"}}\n');
    } finally {
      runner.kill('SIGKILL');
    }
  });
});
