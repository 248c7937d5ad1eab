import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * A shell that outlives us. It learns of our processes by lines of the form `signal group group …`, the newest line
 * counts. When its input ends, because we said so or because we died in whatever way (a crash, `kill -9`), it stops
 * those process groups, first by the signal and after five seconds by SIGKILL, and deletes the directory.
 */
const script = `
while read -r line; do last=$line; done
set -- "$1" $last
directory=$1; signal=$2; shift; shift
for group; do kill -s "$signal" -- "-$group"; done 2>/dev/null
for group; do
  tries=0
  while kill -s 0 -- "-$group" && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -s KILL -- "-$group"
done 2>/dev/null
rm -rf -- "$directory"
`;

/** Sees to it that nothing of a server is left behind, however this process ends. */
export class Keeper {
  readonly #shell: ChildProcess;
  readonly #signal: string;
  readonly #groups: number[] = [];

  constructor(directory: string, signal: string) {
    this.#signal = signal;
    // Its own session: Ctrl-C at the terminal must not end the one who cleans up.
    this.#shell = spawn('/bin/sh', ['-c', script, 'keeper', directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#shell.unref();
    this.#tell();
  }

  /** Keep this process group too. */
  add(group: number): void {
    this.#groups.push(group);
    this.#tell();
  }

  /** These groups are gone, and their numbers may be given to others. */
  forgetAll(): void {
    this.#groups.length = 0;
    this.#tell();
  }

  /** Stop everything and delete the directory; resolves when that is done. Idempotent. */
  async finish(): Promise<void> {
    if (this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const exited = once(this.#shell, 'exit');
    this.#shell.stdin?.end();
    await exited;
  }

  #tell(): void {
    this.#shell.stdin?.write(`${[this.#signal, ...this.#groups].join(' ')}\n`);
  }
}
