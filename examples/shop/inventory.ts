/**
 * Stock, shared by all inventory instances. Each reservation is kept by its key, so that a repeated request has one
 * effect, and a release that overtakes its reservation voids it.
 */
import Database from 'better-sqlite3';
import { openRegistry, type ShopRequest, type ShopResponse, serve } from './service.ts';

const database = new Database(process.env.RUN_DATABASE ?? 'inventory.db');
database.pragma('journal_mode = WAL');
database.pragma('busy_timeout = 5000');
database.exec(`
  CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL CHECK (on_hand >= 0));
  CREATE TABLE IF NOT EXISTS reservation (key TEXT PRIMARY KEY, sku TEXT, quantity INTEGER, state TEXT NOT NULL);
`);

type Reservation = {
  readonly sku: string;
  readonly quantity: number;
  readonly state: 'held' | 'released' | 'void';
};

const find = database.prepare<[string], Reservation>(
  'SELECT sku, quantity, state FROM reservation WHERE key = ?',
);
const insert = database.prepare('INSERT INTO reservation (key, sku, quantity, state) VALUES (?, ?, ?, ?)');
const setState = database.prepare('UPDATE reservation SET state = ? WHERE key = ?');
const take = database.prepare('UPDATE stock SET on_hand = on_hand - ? WHERE sku = ? AND on_hand >= ?');
const give = database.prepare('UPDATE stock SET on_hand = on_hand + ? WHERE sku = ?');
const onHand = database.prepare<[string], { on_hand: number }>('SELECT on_hand FROM stock WHERE sku = ?');

const hold = database.transaction((key: string, sku: string, quantity: number): ShopResponse => {
  const known = find.get(key);
  if (known !== undefined) {
    return known.state === 'held'
      ? [200, { held: known.quantity }]
      : [409, { refused: `already ${known.state}` }];
  }
  if (take.run(quantity, sku, quantity).changes === 0)
    return [409, { refused: `not enough ${sku} in stock` }];
  insert.run(key, sku, quantity, 'held');
  return [201, { held: quantity }];
});

const release = database.transaction((key: string): ShopResponse => {
  const known = find.get(key);
  if (known === undefined) insert.run(key, null, 0, 'void');
  if (known?.state === 'held') {
    give.run(known.quantity, known.sku);
    setState.run('released', key);
  }
  return [200, { released: known?.state === 'held' }];
});

function handle({ method, path, body, idempotencyKey }: ShopRequest): ShopResponse {
  if (method === 'POST' && path === '/reservations') {
    return hold.immediate(idempotencyKey, String(body.sku), Number(body.quantity));
  }
  if (method === 'POST' && path === '/releases') return release.immediate(String(body.key));
  const sku = /^\/stock\/(\w+)$/.exec(path)?.[1];
  const stock = sku === undefined ? undefined : onHand.get(sku);
  if (stock === undefined) return [404, { error: 'no such thing here' }];
  return [200, { sku, onHand: stock.on_hand, instance: process.env.RUN_INSTANCE }];
}

await serve({
  service: 'inventory',
  registry: await openRegistry(),
  handle,
  close: async () => void database.close(),
});
