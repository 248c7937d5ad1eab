import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findBinary } from './find-binary.ts';
import { freePorts } from './free-ports.ts';
import { Keeper } from './keeper.ts';
import type { Command, ServerKind, Site } from './server-kind.ts';
import { until } from './until.ts';

/** A server that runs: one of our own, private to the test, or one that a person named by environment variable. */
export interface Server {
  readonly url: URL;
  /** Undefined for a server that a person named: its files and processes are not ours. */
  readonly site: Site | undefined;
  /** Kill it as a power cut would. Its directory and ports stay. */
  crash(): Promise<void>;
  /** Start it again after {@link crash}, on the same directory and ports. */
  restart(): Promise<void>;
  /** Stop it and delete everything that it wrote. Idempotent. */
  stop(): Promise<void>;
}

/** How long a server may take until it answers; RabbitMQ needs about six seconds on an idle machine. */
const startLimit = 55_000;

/** Start a server, or take the one that the environment names. */
export async function startServer(kind: ServerKind): Promise<Server> {
  const named = kind.environment === undefined ? undefined : process.env[kind.environment];
  if (named) return namedServer(kind, named);
  for (let attempt = 1; ; attempt += 1) {
    const server = await OwnServer.create(kind);
    try {
      await server.restart();
      return server;
    } catch (error) {
      await server.stop();
      // A port that was free a moment ago may be taken by now.
      if (attempt === 3 || !/address already in use|eaddrinuse/i.test(String(error))) throw error;
    }
  }
}

function namedServer(kind: ServerKind, address: string): Server {
  const refuse = async (): Promise<never> => {
    throw new Error(`${kind.environment} names a server that is not ours to kill`);
  };
  const url = new URL(address.includes('://') ? address : `${kind.scheme}://${address}`);
  return { url, site: undefined, crash: refuse, restart: refuse, stop: async () => {} };
}

class OwnServer implements Server {
  readonly site: Site;
  readonly url: URL;
  readonly #kind: ServerKind;
  readonly #user: { readonly uid: number; readonly gid: number } | undefined;
  readonly #keeper: Keeper;
  #running: ChildProcess[] = [];

  static async create(kind: ServerKind): Promise<OwnServer> {
    const server = new OwnServer(kind, await freePorts(kind.ports));
    try {
      await kind.prepare?.(server.site);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  private constructor(kind: ServerKind, ports: readonly number[]) {
    this.#kind = kind;
    this.#user = userToBecome(kind);
    const directory = mkdtempSync(join(tmpdir(), `holdfast-${kind.name}-`));
    this.#keeper = new Keeper(directory, kind.stopSignal ?? 'TERM');
    if (this.#user !== undefined) chownSync(directory, this.#user.uid, this.#user.gid);
    this.site = { directory, ports, execute: (program, ...values) => this.#execute(program, values) };
    this.url = new URL(kind.url(this.site));
  }

  async restart(): Promise<void> {
    for (const command of this.#kind.commands(this.site)) this.#spawn(command);
    await until(() => this.#answers(), `${this.#kind.name} answering`, startLimit).catch((error) => {
      throw new Error(`${this.#kind.name} did not start; the end of its log:\n${this.#logEnd()}`, {
        cause: error,
      });
    });
    if (this.#exited()) throw new Error(`${this.#kind.name} exited; the end of its log:\n${this.#logEnd()}`);
  }

  async crash(): Promise<void> {
    const exits = this.#running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const { pid } of this.#running) {
      if (pid !== undefined) process.kill(-pid, this.#kind.crashSignal ?? 'SIGKILL');
    }
    await Promise.all(exits);
    this.#running = [];
    this.#keeper.forgetAll();
  }

  stop(): Promise<void> {
    return this.#keeper.finish();
  }

  #spawn(command: Command): void {
    const log = openSync(this.#logFile, 'a');
    const child = spawn(this.#binary(command.program), [...command.arguments], {
      ...this.#spawnOptions(command.environment),
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.once('error', () => {});
    child.unref();
    if (child.pid !== undefined) this.#keeper.add(child.pid);
    this.#running.push(child);
  }

  async #execute(program: string, values: readonly string[]): Promise<string> {
    try {
      return (await promisify(execFile)(this.#binary(program), values, this.#spawnOptions())).stdout;
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`${program} ${values.join(' ')} failed: ${stdout}${stderr}`, { cause: error });
    }
  }

  #spawnOptions(environment: Readonly<Record<string, string>> = {}): SpawnOptions & { encoding: 'utf8' } {
    const { directory } = this.site;
    const { PATH = '/usr/bin:/bin' } = process.env;
    // Nothing else of our environment: PGHOST, ETCD_NAME and their like would change what is started.
    const env = { PATH, HOME: directory, LANG: 'C.UTF-8', ...environment };
    return { cwd: directory, env, encoding: 'utf8', ...this.#user };
  }

  #binary(program: string): string {
    const path = findBinary(this.#kind, program);
    if (path === undefined) throw new Error(`${program} is not installed: ${this.#kind.install}`);
    return path;
  }

  /** A process that is gone ends the waiting; {@link restart} then says so. */
  async #answers(): Promise<boolean> {
    return this.#exited() || this.#kind.ready(this.site);
  }

  #exited(): boolean {
    return this.#running.some((child) => child.exitCode !== null || child.signalCode !== null);
  }

  get #logFile(): string {
    return join(this.site.directory, 'server.log');
  }

  #logEnd(): string {
    return readFileSync(this.#logFile, 'utf8').split('\n').slice(-25).join('\n');
  }
}

/** Whom to become: the first of the kind's users that exists, if we are root and the kind does not want root. */
function userToBecome(kind: ServerKind): { uid: number; gid: number } | undefined {
  if (kind.users === undefined || process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const user of kind.users) {
    const account = accounts.find((line) => line.startsWith(`${user}:`));
    const [, , uid, gid] = account?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`${kind.name} refuses to run as root, and there is no user ${kind.users.join(' or ')}`);
}
