import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { SignJWT } from 'jose';
import { parseDocument } from 'yaml';
import { Actor, until } from './actor.ts';

const compiled = fileURLToPath(new URL('.', import.meta.url));
const root = join(compiled, '../../..');
const sources = join(root, 'examples/shop');

/** What the shop owns before the first order. */
export const opening = { sku: 'kelp', stock: 100_000, customer: 'ada', wallet: 10_000_000 } as const;

/** The environments that there is a configuration for. */
export function environments(): string[] {
  return readdirSync(join(sources, 'config')).flatMap((file) => /^shop\.(\w+)\.yaml$/.exec(file)?.[1] ?? []);
}

/** The stage: a directory with all that the shop writes, and the processes that play. */
export class Stage {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'holdfast-shop-'));
  readonly actors: Map<string, Actor> = new Map();
  readonly #environment: Readonly<Record<string, string>>;
  #gatewayUrl = '';
  #token = '';

  constructor(environment: string) {
    cpSync(join(sources, 'config'), this.path('config'), { recursive: true });
    this.#environment = {
      RUN_ENVIRONMENT: environment,
      RUN_CONFIG: this.path('config'),
      RUN_REGISTRY: this.path('registry'),
      // In production the secret comes from outside; the example plays the outside.
      ...(environment === 'prod' && { SHOP_GATEWAY__JWT_SECRET: 'made-for-this-run-and-32-bytes-or-longer' }),
    };
  }

  get gatewayUrl(): string {
    return this.#gatewayUrl;
  }

  get token(): string {
    return this.#token;
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  actor(name: string): Actor {
    return this.actors.get(name)!;
  }

  /** Start a service written with holdfast, and wait until it is registered. */
  async service(
    name: string,
    script: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Actor> {
    const actor = this.#start(name, [process.execPath, join(compiled, script)], {
      RUN_INSTANCE: name,
      RUN_DATABASE: this.path(`${script.replace('.js', '')}.db`),
      ...environment,
    });
    await actor.waitFor('ready');
    return actor;
  }

  #start(name: string, command: readonly string[], environment: Readonly<Record<string, string>>): Actor {
    const actor = new Actor(name, command, { ...this.#environment, ...environment });
    this.actors.set(name, actor);
    return actor;
  }

  /** Payments: an app that knows nothing of holdfast, behind a sidecar from the command line. */
  async #payments(): Promise<void> {
    const appPort = await freePort();
    const cli = [process.execPath, join(root, 'dist/cli/main.js'), 'sidecar'];
    const registry = ['--registry', `file:${this.path('registry')}`];
    const app = ['--app', 'payments', '--app-port', String(appPort), '--health', '/healthz'];
    const ports = ['--listen', '0', '--outbound', '0', '--admin', '0'];
    const command = ['--', process.execPath, join(sources, 'payments.js')];
    this.#start('payments', [...cli, ...app, ...registry, ...ports, ...command], {
      RUN_DATABASE: this.path('payments.db'),
    });
    await this.registered('payments');
  }

  /** Wait until a service has an instance in the registry. */
  async registered(service: string, expected = true): Promise<void> {
    await until(`${service} is ${expected ? '' : 'not '}registered`, () => {
      return this.registrations().some((file) => file.startsWith(service)) === expected;
    });
  }

  /** Every registration that stands in the registry's directory. */
  registrations(): string[] {
    return readdirSync(this.path('registry'), { recursive: true, encoding: 'utf8' }).filter((f) =>
      f.endsWith('.json'),
    );
  }

  async open(): Promise<void> {
    await Promise.all([1, 2, 3].map((n) => this.service(`inventory-${n}`, 'inventory.js')));
    await Promise.all([this.service('shipping', 'shipping.js'), this.#payments()]);
    this.#fill();
    await this.service('orders', 'orders.js');
    const gateway = await this.service('gateway', 'gateway.js');
    this.#gatewayUrl = `http://127.0.0.1:${gateway.heard('ready')[0]!.port}`;
    this.#token = await this.#signToken();
  }

  #fill(): void {
    this.query('inventory', (db) =>
      db.prepare('INSERT OR IGNORE INTO stock VALUES (?, ?)').run(opening.sku, opening.stock),
    );
    this.query('payments', (db) =>
      db.prepare('INSERT OR IGNORE INTO wallet VALUES (?, ?)').run(opening.customer, opening.wallet),
    );
  }

  async #signToken(): Promise<string> {
    const text = readFileSync(this.configFile, 'utf8');
    const secret = this.#environment.SHOP_GATEWAY__JWT_SECRET ?? /jwtSecret: (.+)/.exec(text)?.[1] ?? '';
    return new SignJWT({ sub: opening.customer })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('shop')
      .setAudience('shop')
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(secret));
  }

  /** Look into a service's own database. */
  query<T>(service: string, look: (database: Database.Database) => T): T {
    const database = new Database(this.path(`${service}.db`));
    try {
      return look(database);
    } finally {
      database.close();
    }
  }

  /** The configuration that only this run's environment has; it comes on top of what all share. */
  get configFile(): string {
    return this.path('config', `shop.${this.#environment.RUN_ENVIRONMENT}.yaml`);
  }

  /** The process id of the payments app itself, behind its sidecar. */
  paymentsPid(): number {
    return Number(readFileSync(this.#pidFile, 'utf8'));
  }

  get #pidFile(): string {
    return this.path('payments.db.pid');
  }

  /** Change values in the configuration file of this run's environment, as a person with an editor would. */
  edit(values: Readonly<Record<string, string | number>>): void {
    const document = parseDocument(readFileSync(this.configFile, 'utf8'));
    for (const [path, value] of Object.entries(values)) document.setIn(path.split('.'), value);
    writeFileSync(this.configFile, document.toString());
  }

  /** Stop every process that still runs; the gateway first, so that nothing new comes in. */
  async close(): Promise<ReadonlyMap<string, number | null>> {
    const codes = new Map<string, number | null>();
    const order = [...this.actors.values()].filter((actor) => actor.running).reverse();
    for (const actor of order) codes.set(actor.name, await actor.end('SIGTERM'));
    return codes;
  }

  /** Whatever happens, leave nothing running: a sidecar that is killed cannot stop its app. */
  abandon(): void {
    const payments = this.actors.get('payments')?.running && existsSync(this.#pidFile);
    for (const actor of this.actors.values()) if (actor.running) actor.signal('SIGKILL');
    if (payments) process.kill(this.paymentsPid(), 'SIGKILL');
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
