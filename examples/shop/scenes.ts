import { until } from './actor.ts';
import { type Answer, type Customers, median, tally } from './customers.ts';
import type { Stage } from './stage.ts';
import { story } from './story.ts';

/** A scene plays on a stage that is open, and leaves it fit for the next. */
export type Scene = (stage: Stage, customers: Customers) => Promise<void>;

const counts = (values: Iterable<string | number>): string =>
  tally(values)
    .map(([value, count]) => `${value}: ${count}`)
    .join(' · ');

const steady: Scene = async (_stage, customers) => {
  story.scene(1, 'Steady traffic');
  const orders = await customers.orders(60, 6);
  story.check(
    orders.every((order) => order.outcome === 'completed'),
    `60 orders through the gateway: ${counts(orders.map((o) => o.outcome))}; median ${median(orders.map((o) => o.milliseconds)).toFixed(0)} ms`,
  );
  const reads = await Promise.all(Array.from({ length: 90 }, () => customers.request('GET', '/stock/kelp')));
  const instances = tally(reads.map((read) => String(read.body.instance)));
  story.check(
    instances.length === 3,
    `90 reads, balanced: ${counts(reads.map((r) => String(r.body.instance)))}`,
  );
  const refusals = await Promise.all([
    customers.request('POST', '/orders', {}, {}),
    customers.request('GET', '/warehouse/shelves'),
    customers.request('GET', '/stock/%2e%2e%2fsecret'),
  ]);
  story.check(
    refusals.map((r) => r.status).join() === '401,503,400',
    `no token ${refusals[0].status} · unknown service ${refusals[1].status} · broken path ${refusals[2].status}`,
  );
};

const paymentsHangs: Scene = async (stage, customers) => {
  story.scene(2, 'Payments hangs, and comes back');
  const orders = stage.actor('orders');
  const before = orders.told.length;
  const breaker = (state: string) => () =>
    orders.told.slice(before).find((line) => line.event === 'breaker' && line.state === state);
  process.kill(stage.paymentsPid(), 'SIGSTOP');
  const doubtful = customers.orders(6, 6);
  const opened = await until('the breaker opens', breaker('open'));
  story.fact(`the app is frozen; the breaker opened: ${opened.reason}`);
  const fast = await customers.orders(20, 4);
  const milliseconds = median(fast.map((order) => order.milliseconds));
  story.check(
    fast.some((order) => order.outcome === 'compensated') && milliseconds < 400,
    `20 orders meanwhile: ${counts(fast.map((o) => o.outcome))}; median ${milliseconds.toFixed(0)} ms instead of a timeout each`,
  );
  process.kill(stage.paymentsPid(), 'SIGCONT');
  await until('the breaker closes', async () => {
    await customers.order();
    return breaker('closed')();
  });
  const states = orders.told.slice(before).filter((line) => line.event === 'breaker');
  story.good(`the app thaws: ${states.map((line) => line.state).join(' → ')}`);
  const ends = await Promise.all((await doubtful).map((order) => customers.follow(order.id)));
  story.check(
    ends.every((end) => end === 'compensated' || end === 'completed'),
    `the 6 whose charge was in doubt are settled with payments itself: ${counts(ends)}`,
  );
};

const ordersKilled: Scene = async (stage, customers) => {
  story.scene(3, 'kill -9 of orders, with sagas in flight');
  const answers: Answer[] = [];
  let playing = true;
  const buyer = async (): Promise<void> => {
    while (playing) answers.push(await customers.order());
  };
  const traffic = Promise.all(Array.from({ length: 16 }, buyer));
  await until('sagas are in flight', () => answers.length > 16 && inFlight(stage) >= 8);
  playing = false;
  await stage.actor('orders').end('SIGKILL');
  const left = inFlight(stage);
  await traffic;
  const orders = await stage.service('orders', 'orders.js');
  const ends = await Promise.all(answers.map((order) => customers.follow(order.id)));
  await until('the restarted process tells what it resumed', () => orders.heard('resumed').length >= left);
  story.fact(
    `${left} sagas were in flight; customers saw ${counts(answers.map((a) => a.status || 'broken'))}`,
  );
  story.good(`restarted: ${orders.heard('resumed').length} resumed where they were`);
  story.good(`all ${ends.length} orders came to an end: ${counts(ends)}`);
};

function inFlight(stage: Stage): number {
  return stage.query(
    'orders',
    (db) =>
      db
        .prepare<[], { n: number }>(
          "SELECT count(*) AS n FROM holdfast_sagas WHERE status IN ('running', 'compensating')",
        )
        .get()!.n,
  );
}

const inventoryReplaced: Scene = async (stage, customers) => {
  story.scene(4, 'An inventory instance is killed, another started');
  const reads: { status: number; body: Record<string, unknown> }[] = [];
  const orders: Answer[] = [];
  let playing = true;
  const reader = async (): Promise<void> => {
    while (playing) reads.push(await customers.request('GET', '/stock/kelp'));
  };
  const buyer = async (): Promise<void> => {
    while (playing) orders.push(await customers.order());
  };
  const traffic = Promise.all([reader(), reader(), buyer()]);
  await until('traffic flows', () => reads.length > 50 && orders.length > 5);
  await stage.actor('inventory-2').end('SIGKILL');
  await stage.service('inventory-4', 'inventory.js');
  await until('the new instance is used', () => reads.some((read) => read.body.instance === 'inventory-4'));
  const afterwards = reads.length + 100;
  await until('traffic has moved', () => reads.length > afterwards);
  playing = false;
  await traffic;
  const failed = [...reads, ...orders].filter(({ status }) => status !== 200 && status !== 201);
  story.fact(`reads by instance: ${counts(reads.map((r) => String(r.body.instance)))}`);
  story.check(
    failed.length === 0,
    `${reads.length} reads and ${orders.length} orders meanwhile, ${failed.length} failed`,
  );
};

const configEdited: Scene = async (stage, customers) => {
  story.scene(5, 'The configuration is edited while all runs');
  const [gateway, orders] = [stage.actor('gateway'), stage.actor('orders')];
  stage.edit({ 'gateway.requestsPerSecond': 20, 'payments.timeout': '300ms' });
  await gateway.waitFor('config', (told) => told.requestsPerSecond === 20);
  await orders.waitFor('config', (told) => JSON.stringify(told).includes('300ms'));
  const burst = await Promise.all(Array.from({ length: 60 }, () => customers.request('GET', '/stock/kelp')));
  const limited = burst.find((answer) => answer.status === 429);
  story.check(
    limited?.headers.get('retry-after') !== null && limited !== undefined,
    `taken over live: 20 requests/s; a burst of 60: ${counts(burst.map((b) => b.status))}, Retry-After: ${limited?.headers.get('retry-after')}`,
  );
  stage.edit({ 'gateway.requestsPerSecond': -5 });
  const refused = await gateway.waitFor('config-rejected');
  const [issue] = refused.issues as { path: string; message: string }[];
  const still = await Promise.all(Array.from({ length: 60 }, () => customers.request('GET', '/stock/kelp')));
  story.check(
    still.some((answer) => answer.status === 429) && still.some((answer) => answer.status === 200),
    `an invalid edit is refused, the last good kept`,
  );
  story.fact(`(${issue?.path}: ${issue?.message})`);
  stage.edit({ 'gateway.requestsPerSecond': 2000 });
  await gateway.waitFor('config', (told) => told.requestsPerSecond === 2000);
};

const curtain: Scene = async (stage) => {
  story.scene(6, 'SIGTERM to everything');
  const codes = await stage.close();
  const failed = [...codes].filter(([, code]) => code !== 0);
  story.check(
    failed.length === 0,
    `${codes.size} processes drained and left; exit codes ${counts([...codes.values()].map(String))}`,
  );
  const left = stage.registrations();
  // A process that was killed could not deregister: its registration stays until it expires.
  const forgotten = left.filter((file) =>
    [...codes.keys()].some((name) => file.includes(`${name}-${stage.actor(name).pid}`)),
  );
  story.check(
    forgotten.length === 0,
    `each took its own registration with it; ${left.length} of the killed are left to expire`,
  );
};

/** The six scenes, in order. */
export const scenes: readonly Scene[] = [
  steady,
  paymentsHangs,
  ordersKilled,
  inventoryReplaced,
  configEdited,
  curtain,
];
