/** Processes of a benchmark: pinned to a core, with what they have cost so far. Linux only. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

/** Of `/proc/<pid>/stat`, in every Linux that Node runs on. */
const ticksPerSecond = 100;

/** What is measured has a core of its own; the load and the upstream share another, or have one each. */
export const cores = { contender: 0, upstream: 1, load: cpus().length > 2 ? 2 : 1 };

/** A port that is free now. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A program on one core; ends with this process. */
export function pinned(core, command, args, options = {}) {
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    // Our own output is read by whoever started us, until its last holder is gone.
    stdio: ['ignore', 'ignore', 'inherit'],
    ...options,
  });
  process.once('exit', () => child.kill());
  return child;
}

/** A script of Node's on one core, once it says that it listens. */
export async function pinnedScript(core, path, environment) {
  const child = pinned(core, process.execPath, ['--no-warnings', path], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, ...environment },
  });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${path} ended with ${code}`);
    }),
  ]);
  return child;
}

/** Until somebody accepts connections there. */
export async function answering(url) {
  for (let turn = 0; turn < 200; turn += 1) {
    const answered = await fetch(url).then(
      (response) => response.arrayBuffer(),
      () => undefined,
    );
    if (answered !== undefined) return;
    await pause(25);
  }
  throw new Error(`nobody answers at ${url}`);
}

/** Processor seconds that a process has taken, in all its threads. */
export function processorSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** MiB that a process occupies. */
export function residentMebibytes(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1_024;
}

/** The children of a process, such as nginx's workers. */
export function childrenOf(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).map(Number);
}
