/** Orders: takes an order, runs its checkout saga on SQLite, and knows how each one ended. */
import Database from 'better-sqlite3';
import { SagaCompensatedError, SagaParkedError, SagaRunner } from 'holdfast';
import { sqliteSagaStore } from 'holdfast/adapters/sqlite';
import { buildCheckout, Order } from './checkout.ts';
import { openRegistry, type ShopRequest, type ShopResponse, serve, tell } from './service.ts';
import { loadSettings } from './settings.ts';

const database = new Database(process.env.RUN_DATABASE ?? 'orders.db');
database.exec('CREATE TABLE IF NOT EXISTS confirmation (order_id TEXT PRIMARY KEY)');
const confirm = database.prepare('INSERT OR IGNORE INTO confirmation (order_id) VALUES (?)');

const settings = await loadSettings();
const registry = await openRegistry();
const checkout = buildCheckout(registry, settings, (orderId) => void confirm.run(orderId));
const sagas = new SagaRunner({
  store: sqliteSagaStore({ database }),
  sagas: [checkout],
  lease: settings.current.sagas.lease,
  pollInterval: '250ms',
});
sagas.on('resumed', ({ id }) => tell('resumed', { id }));
await sagas.start();

/** How long a customer waits before the answer is "accepted, ask again". */
const patience = 1_500;

async function place(body: unknown): Promise<ShopResponse> {
  const parsed = Order.safeParse(body);
  if (!parsed.success)
    return [400, { error: parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`) }];
  const { id } = parsed.data;
  const ended = sagas.run(checkout, parsed.data, { id }).then(
    (): ShopResponse => [201, { id, status: 'completed' }],
    (error: unknown): ShopResponse => {
      if (error instanceof SagaCompensatedError)
        return [409, { id, status: 'compensated', reason: error.message }];
      if (error instanceof SagaParkedError) return [202, { id, status: 'parked', reason: error.message }];
      throw error;
    },
  );
  const waited = new Promise<ShopResponse>((resolve) => {
    setTimeout(() => resolve([202, { id, status: 'running' }]), patience).unref();
  });
  return Promise.race([ended, waited]);
}

async function handle({ method, path, body }: ShopRequest): Promise<ShopResponse> {
  if (method === 'POST' && path === '/orders') return place(body);
  const id = /^\/orders\/([\w-]+)$/.exec(path)?.[1];
  const record = id === undefined ? undefined : await sagas.get(id);
  if (record === undefined) return [404, { error: 'no such order' }];
  return [200, { id, status: record.status, ...(record.reason !== undefined && { reason: record.reason }) }];
}

await serve({
  service: 'orders',
  registry,
  handle,
  close: async () => {
    await sagas.stop();
    await settings.stop();
    database.close();
  },
});
