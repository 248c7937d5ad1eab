import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The app that every test stands beside. */
export const appScript: string = fileURLToPath(new URL('sidecar-app.mjs', import.meta.url));

/** One thing that the app told. */
export interface AppEvent {
  readonly pid: number;
  readonly event: string;
  readonly status?: number;
  readonly text?: string;
  readonly error?: string;
}

/** Ask again until there is an answer; what it throws counts as none. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  limit = 60_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + limit;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Whether a process, or a process group when negative, is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** An HTTP answer. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

/** One request on a connection of its own. Rejects when there is no whole answer. */
export function get(url: string, headers: Record<string, string> = {}, target?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { headers, agent: false, ...(target && { path: target }) }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** A directory for one test, and everything that was started in it. */
export class Stage {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'holdfast-sidecar-'));
  readonly #processes: SidecarProcess[] = [];

  get registry(): string {
    return join(this.directory, 'registry');
  }

  /** The environment of an app, by which it tells what happens to it. */
  environment(name: string, more: Record<string, string> = {}): Record<string, string> {
    return { NAME: name, EVENTS: join(this.directory, `${name}.events`), ...more };
  }

  /** What the app of this name told so far. */
  events(name: string): AppEvent[] {
    const file = join(this.directory, `${name}.events`);
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as AppEvent);
  }

  /** Run `holdfast sidecar` with the test app, and wait for nothing. */
  async sidecar(
    name: string,
    flags: readonly string[] = [],
    environment: Record<string, string> = {},
    app: readonly string[] = [process.execPath, appScript],
  ): Promise<SidecarProcess> {
    const appPort = await freePort();
    const fixed = ['--app', name, '--app-port', String(appPort), '--registry', `file:${this.registry}`];
    const sidecar = new SidecarProcess(
      name,
      ['sidecar', ...fixed, '--log', 'json', ...flags, '--', ...app],
      this.environment(name, environment),
      appPort,
    );
    this.#processes.push(sidecar);
    return sidecar;
  }

  /** End whatever still runs, and clean up. A sidecar that was killed leaves its app behind, so that goes too. */
  async close(): Promise<void> {
    const pids = new Set<number>();
    const ends = this.#processes.map((sidecar) => sidecar.end('SIGKILL'));
    for (const { name } of this.#processes) for (const { pid } of this.events(name)) pids.add(pid);
    for (const sidecar of this.#processes) for (const pid of sidecar.appPids) pids.add(pid);
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    await Promise.all(ends);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One line that the command told. */
export interface Told {
  readonly event?: string;
  readonly [field: string]: unknown;
}

/** The command as a real process. */
export class SidecarProcess {
  readonly name: string;
  readonly appPort: number;
  /** Every line of JSON that it wrote, in order: what happened, and the access log. */
  readonly told: Told[] = [];
  readonly exit: Promise<number | string | null>;
  stderr = '';
  readonly #child: ChildProcess;

  constructor(name: string, args: readonly string[], environment: Record<string, string>, appPort: number) {
    this.name = name;
    this.appPort = appPort;
    this.#child = spawn(process.execPath, [command, ...args], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) this.told.push(JSON.parse(line) as Told);
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exit = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve(code ?? signal));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get appPids(): number[] {
    return this.heard('app-started').map(({ pid }) => pid as number);
  }

  heard(event: string): Told[] {
    return this.told.filter((line) => line.event === event);
  }

  async waitFor(event: string, count = 1): Promise<Told> {
    return until(`${event} × ${count}; stderr: ${this.stderr}`, () => this.heard(event)[count - 1]);
  }

  /** Wait until it is ready; resolves to its addresses. */
  async ready(): Promise<{ readonly inbound: string; readonly outbound: string; readonly admin: string }> {
    return (await this.waitFor('ready')) as never;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Send a signal and wait for the end; resolves to the exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<number | string | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.signal(signal);
    return this.exit;
  }
}
