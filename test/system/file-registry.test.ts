import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('registry-member.mjs', import.meta.url));
const ttl = 2_000;

interface Member {
  readonly process: ChildProcess;
  /** What it saw, in order: `id status` for each instance. */
  readonly seen: (readonly string[])[];
  readonly exited: Promise<unknown>;
}

let parent: string;
let directory: string;
let members: Member[];

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'holdfast-members-'));
  directory = join(parent, 'registry');
  members = [];
});
afterEach(async () => {
  for (const member of members) member.process.kill('SIGKILL');
  await Promise.all(members.map((member) => member.exited));
  await rm(parent, { recursive: true, force: true });
});

function start(id: string): Member {
  const child = spawn(process.execPath, [program, directory, id, String(ttl)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const member: Member = { process: child, seen: [], exited: once(child, 'exit') };
  createInterface({ input: child.stdout! }).on('line', (line) => member.seen.push(JSON.parse(line).seen));
  members.push(member);
  return member;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await sleep(20)) {
    if (await condition()) return;
  }
  const seen = members.map((member) => member.seen.at(-1));
  expect.fail(`never happened: ${what}; seen last: ${JSON.stringify(seen)}`);
}

const sees = (member: Member, ...expected: string[]): boolean =>
  JSON.stringify(member.seen.at(-1)) === JSON.stringify(expected);

describe('several processes that share a registry of files', () => {
  it('see each other come, drain and go, and lose one that was killed', async () => {
    const [a, b, c] = [start('a'), start('b'), start('c')];
    await until('all see all', () => members.every((each) => sees(each, 'a up', 'b up', 'c up')));

    b.process.kill('SIGKILL');
    await until('the killed one is missed', () => [a, c].every((each) => sees(each, 'a up', 'c up')));
    await until('its file is removed', async () => {
      const files = await readdir(join(directory, 'members'));
      return files.filter((file) => file.startsWith('b.')).length === 0;
    });

    c.process.kill('SIGTERM');
    await until('the last is alone', () => sees(a, 'a up'));
    expect(a.seen).toContainEqual(['a up', 'c draining']);
    expect((await c.exited) as unknown).toEqual([0, null]);

    const again = start('b');
    await until('a new one is seen', () => [a, again].every((each) => sees(each, 'a up', 'b up')));
  });

  it('miss one that is frozen, and take it back when it thaws', async () => {
    const [a, b] = [start('a'), start('b')];
    await until('both see both', () => members.every((each) => sees(each, 'a up', 'b up')));
    b.process.kill('SIGSTOP');
    await until('the frozen one is missed', () => sees(a, 'a up'));
    // Long enough that its file is removed, too.
    await until('its file is removed', async () => (await readdir(join(directory, 'members'))).length === 1);
    b.process.kill('SIGCONT');
    await until('it is back', () => members.every((each) => sees(each, 'a up', 'b up')));
  });
});
