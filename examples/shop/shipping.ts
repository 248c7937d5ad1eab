/** Parcels. Booking is idempotent by key, so that the saga may ask as often as it must. */
import Database from 'better-sqlite3';
import { openRegistry, type ShopRequest, type ShopResponse, serve } from './service.ts';

const database = new Database(process.env.RUN_DATABASE ?? 'shipping.db');
database.pragma('journal_mode = WAL');
database.exec(
  'CREATE TABLE IF NOT EXISTS parcel (key TEXT PRIMARY KEY, order_id TEXT NOT NULL, quantity INTEGER)',
);
const book = database.prepare('INSERT OR IGNORE INTO parcel (key, order_id, quantity) VALUES (?, ?, ?)');

function handle({ method, path, body, idempotencyKey }: ShopRequest): ShopResponse {
  if (method !== 'POST' || path !== '/parcels') return [404, { error: 'no such thing here' }];
  const fresh = book.run(idempotencyKey, String(body.orderId), Number(body.quantity)).changes === 1;
  return [fresh ? 201 : 200, { parcel: idempotencyKey }];
}

await serve({
  service: 'shipping',
  registry: await openRegistry(),
  handle,
  close: async () => void database.close(),
});
