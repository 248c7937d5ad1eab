/**
 * An ordinary app that knows nothing of holdfast: it listens on PORT and charges wallets. A sidecar stands beside it.
 * A charge is kept by its key, so that a repeated request charges once, and a refund that overtakes its charge voids it.
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Database from 'better-sqlite3';

const database = new Database(process.env.RUN_DATABASE ?? 'payments.db');
database.pragma('journal_mode = WAL');
database.exec(`
  CREATE TABLE IF NOT EXISTS wallet (customer TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
  CREATE TABLE IF NOT EXISTS charge (key TEXT PRIMARY KEY, customer TEXT, amount INTEGER, state TEXT NOT NULL);
`);
const find = database.prepare('SELECT customer, amount, state FROM charge WHERE key = ?');
const insert = database.prepare('INSERT INTO charge (key, customer, amount, state) VALUES (?, ?, ?, ?)');
const setState = database.prepare('UPDATE charge SET state = ? WHERE key = ?');
const take = database.prepare('UPDATE wallet SET balance = balance - ? WHERE customer = ? AND balance >= ?');
const give = database.prepare('UPDATE wallet SET balance = balance + ? WHERE customer = ?');

const charge = database.transaction((key, customer, amount) => {
  const known = find.get(key);
  if (known)
    return known.state === 'charged' ? [200, { charged: known.amount }] : [409, { refused: known.state }];
  if (take.run(amount, customer, amount).changes === 0)
    return [402, { refused: 'the wallet does not cover it' }];
  insert.run(key, customer, amount, 'charged');
  return [201, { charged: amount }];
});

const refund = database.transaction((key) => {
  const known = find.get(key);
  if (!known) insert.run(key, null, 0, 'void');
  if (known?.state === 'charged') {
    give.run(known.amount, known.customer);
    setState.run('refunded', key);
  }
  return [200, { refunded: known?.state === 'charged' }];
});

function route(request, body) {
  if (request.url === '/healthz') return [200, { ok: true }];
  if (request.method === 'POST' && request.url === '/charges') {
    return charge.immediate(request.headers['idempotency-key'], body.customer, body.amount);
  }
  if (request.method === 'POST' && request.url === '/refunds') return refund.immediate(body.key);
  return [404, { error: 'no such thing here' }];
}

const server = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  const [status, body] = route(request, text === '' ? {} : JSON.parse(text));
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});
writeFileSync(`${process.env.RUN_DATABASE}.pid`, String(process.pid));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.once('SIGTERM', () => server.close(() => process.exit(0)).closeIdleConnections());
