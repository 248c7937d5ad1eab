/**
 * A service takes its configuration from YAML files and environment variables, and follows the files while it runs.
 *
 * Run it with `node .build/examples/config-client.js`; it takes about a second.
 */
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigClient, secret } from 'holdfast';
import { envConfig } from 'holdfast/adapters/env';
import { fileConfig } from 'holdfast/adapters/file';
import { z } from 'zod';

const schema = z.strictObject({
  timeoutMs: z.number().min(1).max(60_000),
  db: z.strictObject({ host: z.string(), poolSize: z.number().int().max(100), password: secret() }),
  regions: z.array(z.string()).min(1),
});

// The files are edited below, so work on a copy of them.
const directory = mkdtempSync(join(tmpdir(), 'holdfast-example-'));
cpSync(fileURLToPath(new URL('../../examples/config', import.meta.url)), directory, { recursive: true });
const prod = join(directory, 'orders.prod.yaml');

// What a deployment would set. A password of digits stays a text, because the schema wants one.
process.env.ORDERS_DB__PASSWORD = '90210';

const config = await new ConfigClient({
  schema,
  environment: 'prod',
  sources: [fileConfig(join(directory, 'orders')), envConfig({ prefix: 'ORDERS_' })],
}).start();

// A configuration does not keep a process running; a service's listening server would.
const service = setInterval(() => {}, 60_000);

console.log('1. Layers are merged and checked: base file, prod file, environment');
console.log('   ', JSON.stringify(config.current));
console.log('    the password for the driver has', config.current.db.password.reveal().length, 'characters');

console.log('2. Where does a value come from?');
for (const path of ['db.poolSize', 'db.password']) {
  const { value, origin, overridden } = config.explain(path);
  const below = overridden.map((each) => `${each.value} in ${each.origin}`).join(', ');
  console.log(`    ${path} is ${value} by ${origin}, over ${below}`.replaceAll(`${directory}/`, ''));
}

const told = new EventTarget();
const next = (type: string): Promise<unknown> => once(told, type);
config.on('changed', ({ version, changes }) => {
  const list = changes.map(({ path, before, after }) => `${path}: ${before} → ${after}`);
  console.log(`    version ${version}: ${list.join(', ')}`);
  told.dispatchEvent(new Event('changed'));
});
config.on('rejected', ({ version, issues }) => {
  for (const { path, message } of issues) console.log(`    refused: ${path}: ${message}`);
  console.log(`    version ${version} stays: timeoutMs is ${config.current.timeoutMs}`);
  told.dispatchEvent(new Event('rejected'));
});
config.on('recovered', () => told.dispatchEvent(new Event('recovered')));
config.select(
  (current) => current.db.poolSize,
  (now, before) => console.log(`    the pool is resized from ${before} to ${now}`),
);

console.log('3. The prod file is edited while the service runs');
let change = next('changed');
writeFileSync(prod, 'timeoutMs: 800\ndb: { host: db.internal, poolSize: 30 }\n');
await change;

console.log('4. A bad edit is refused as a whole');
change = next('rejected');
writeFileSync(prod, 'timeoutMs: 0\ndb: { host: db.internal, poolSize: 5000 }\n');
await change;

console.log('5. Put right, it is taken over');
change = Promise.all([next('changed'), next('recovered')]);
writeFileSync(prod, 'timeoutMs: 900\ndb: { host: db.internal, poolSize: 30 }\n');
await change;
console.log(`    stale: ${config.state.stale}, version: ${config.state.version}`);

await config.stop();
clearInterval(service);
rmSync(directory, { recursive: true });
