/** A saga whose steps call participants over real sockets, on a network that loses and repeats. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memorySagaStore } from '../../../src/adapters/memory/saga-store.ts';
import { sqliteSagaBarrier } from '../../../src/adapters/sqlite/saga-barrier.ts';
import { UpstreamError } from '../../../src/core/errors.ts';
import { sagaAnswer } from '../../../src/saga/http-answer.ts';
import { sagaHeaders } from '../../../src/saga/http-headers.ts';
import { sagaEndpoint } from '../../../src/saga/http-participant.ts';
import { SagaRunner } from '../../../src/saga/runner.ts';
import { refuse, saga } from '../../../src/saga/saga.ts';
import type { StepContext } from '../../../src/saga/saga-types.ts';
import { type ClosableDatabase, openSqlite } from '../../conformance/sqlite-drivers.ts';

/** What the network does with one request. */
type Fate = 'arrives' | 'lost' | 'answer lost' | 'twice' | 'late';

let server: Server;
let url: string;
let database: ClosableDatabase;
/** What becomes of the next requests; when it is used up, they arrive. */
let fates: Fate[];
/** Requests that are still on their way. */
let underWay: (() => Promise<unknown>)[];

beforeEach(async () => {
  database = openSqlite(':memory:');
  database.exec(`CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
    INSERT INTO account VALUES ('stock', 1000), ('held', 0), ('money', 1000), ('till', 0)`);
  const barrier = sqliteSagaBarrier({ database });
  await barrier.start();
  const move = (from: string, to: string, amount: number): void => {
    const { balance } = database.prepare('SELECT balance FROM account WHERE name = ?').get(from) as {
      balance: number;
    };
    if (balance < amount) refuse(`${from} has only ${balance}`);
    database.prepare('UPDATE account SET balance = balance - ? WHERE name = ?').run(amount, from);
    database.prepare('UPDATE account SET balance = balance + ? WHERE name = ?').run(amount, to);
  };
  const endpoint = sagaEndpoint({ barrier, onError: () => {} }, (_, { step, operation, body, saga }) => {
    const { amount } = body as { amount: number };
    const [from, to] = step === 'hold' ? (['stock', 'held'] as const) : (['money', 'till'] as const);
    if (operation === 'do') move(from, to, amount);
    else move(to, from, amount);
    return { body: { saga, moved: amount } };
  });
  server = createServer((request, response) => void endpoint.node(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/move`;
  [fates, underWay] = [[], []];
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
  database.close();
});

async function call(context: StepContext<{ amount: number }, unknown>) {
  const send = (): Promise<Response> =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...sagaHeaders(context) },
      body: JSON.stringify({ amount: context.input.amount }),
    });
  const fate = fates.shift() ?? 'arrives';
  const lost = new UpstreamError('the network', 'reset', { retryable: true });
  if (fate === 'lost') throw lost;
  if (fate === 'late') {
    underWay.push(async () => (await send()).arrayBuffer());
    throw lost;
  }
  const answers = fate === 'twice' ? await Promise.all([send(), send()]) : [await send()];
  if (fate === 'answer lost') throw lost;
  const bodies = await Promise.all(answers.map(sagaAnswer));
  expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
  return bodies[0] as { saga: string; moved: number };
}

const shop = saga('shop', { input: z.object({ amount: z.number() }) })
  .step('hold', call, { undo: call })
  .pivot('pay', call);

const balances = (): Record<string, number> =>
  Object.fromEntries(
    (database.prepare('SELECT name, balance FROM account').all() as { name: string; balance: number }[]).map(
      (row) => [row.name, row.balance],
    ),
  );

const untouched = { stock: 1000, held: 0, money: 1000, till: 0 };

async function runAll(id: string, amount: number): Promise<'completed' | 'compensated' | 'parked'> {
  const retry = { attempts: 20, base: '1ms', max: '2ms' } as const;
  const sagas = await new SagaRunner({ store: memorySagaStore(), sagas: [shop], retry }).start();
  try {
    await sagas.run(shop, { amount }, { id }).catch(() => {});
    return (await sagas.get(id))!.status as 'completed';
  } finally {
    await sagas.stop();
    // Whatever was still on its way arrives when all is over.
    for (const arrive of underWay.splice(0)) await arrive();
  }
}

describe('a saga over HTTP', () => {
  it('completes, and its results are what the participants answered', async () => {
    const sagas = await new SagaRunner({ store: memorySagaStore(), sagas: [shop] }).start();
    const results = await sagas.run(shop, { amount: 5 }, { id: 'o1' });
    expect(results).toEqual({ hold: { saga: 'o1', moved: 5 }, pay: { saga: 'o1', moved: 5 } });
    await sagas.stop();
    expect(balances()).toEqual({ stock: 995, held: 5, money: 995, till: 5 });
  });

  it('turns back at a refusal of the pivot, also one whose earlier attempts are in doubt', async () => {
    database.exec("UPDATE account SET balance = 3 WHERE name = 'money'");
    fates = ['arrives', 'lost', 'answer lost'];
    expect(await runAll('o1', 5)).toBe('compensated');
    expect(balances()).toEqual({ ...untouched, money: 3 });
  });

  it('does not let a call take effect that arrives after its undo', async () => {
    fates = ['late'];
    expect(await runAll('o1', 5)).toBe('compensated');
    expect(balances()).toEqual(untouched);
  });

  it('ends with all or nothing, whatever the network does', async () => {
    const fate = fc.constantFrom<Fate>('arrives', 'lost', 'answer lost', 'twice', 'late');
    let expected = balances();
    let count = 0;
    const property = fc.asyncProperty(
      fc.array(fate, { maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      async (some, n) => {
        count += 1;
        fates = [...some];
        const status = await runAll(`s${count}`, n);
        expect(status).not.toBe('parked');
        if (status === 'completed') {
          const { stock, held, money, till } = expected as {
            stock: number;
            held: number;
            money: number;
            till: number;
          };
          expected = { stock: stock - n, held: held + n, money: money - n, till: till + n };
        }
        expect(balances(), status).toEqual(expected);
      },
    );
    await fc.assert(property, { numRuns: 60, endOnFailure: true });
  });
});
