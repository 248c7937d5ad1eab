/** An order across three services: one goes through, one is refused, one is interrupted by a crash. */
import {
  eventCatalog,
  participant,
  refuse,
  retry,
  SagaCompensatedError,
  SagaRunner,
  type SagaRunnerOptions,
  saga,
} from 'holdfast';
import { memoryBus, memorySagaStore } from 'holdfast/adapters/memory';
import { z } from 'zod';

const say = (text: string): void => console.log(text);

/** What the participants remember, by key: this is what makes them idempotent. */
const stock = new Map<string, string>();
const payments = new Map<string, number>();

const Order = z.object({ sku: z.string(), amount: z.number() });
let deliveries = 0;

const checkout = saga('checkout', { input: Order })
  .step(
    'hold',
    ({ input, key }) => {
      stock.set(key, input.sku);
      say(`    inventory holds one ${input.sku}`);
      return { shelf: 'A7' };
    },
    {
      undo: ({ forwardKey, error }) => {
        if (stock.delete(forwardKey)) say(`    inventory puts it back (${error})`);
      },
    },
  )
  .pivot('pay', ({ input, key }) => {
    if (input.amount > 100) refuse('the card was declined', { conclusive: true });
    payments.set(key, input.amount);
    say(`    payments takes ${input.amount}`);
    return { receipt: key };
  })
  .step(
    'ship',
    ({ results }) => {
      deliveries += 1;
      if (deliveries % 3 === 1) throw new Error('no courier answers');
      say(`    shipping sends the parcel from ${results.hold.shelf}`);
      return { parcel: deliveries };
    },
    { policy: retry({ attempts: 3, backoff: { base: 20 } }) },
  );

const store = memorySagaStore();
const options: SagaRunnerOptions = { store, sagas: [checkout], lease: '300ms', pollInterval: '50ms' };

say('1. An order goes through; the courier has to be asked twice.');
const first = await new SagaRunner(options).start();
const results = await first.run(checkout, { sku: 'kelp', amount: 20 }, { id: 'order-1' });
say(`    → ${JSON.stringify(results)}`);

say('2. The same order comes again: nothing is done twice.');
await first.run(checkout, { sku: 'kelp', amount: 20 }, { id: 'order-1' });
say(`    → ${payments.size} payment, ${stock.size} held`);

say('3. A card is declined: what was held is put back.');
try {
  await first.run(checkout, { sku: 'wrack', amount: 900 }, { id: 'order-2' });
} catch (error) {
  if (error instanceof SagaCompensatedError) say(`    → ${error.message}`);
}
await first.stop();

say('4. A process dies with an order under way; the next one finishes it.');
const stepsOf = checkout.definition.plan.steps.map((step) => step.name);
// What a dead process leaves behind: a record with one step done, and a lease that nobody renews.
const { record } = await store.create(
  {
    id: 'order-3',
    saga: checkout.name,
    hash: checkout.hash,
    definitionVersion: checkout.version,
    status: 'running',
    input: { sku: 'dulse', amount: 30 },
    steps: [],
    createdAt: Date.now(),
  },
  { owner: 'the dead one', ttl: 300 },
);
stock.set('order-3/hold/do', 'dulse');
const held = { name: 'hold', status: 'done', output: { shelf: 'B2' }, at: Date.now() } as const;
await store.update({ ...record, steps: [held] });
say(`    it had done 1 of ${stepsOf.length} steps: ${stepsOf.join(', ')}`);
const second = new SagaRunner(options);
second.on('resumed', ({ id }) => say(`    ${id} is taken over`));
await second.start();
await second.run(checkout, { sku: 'dulse', amount: 30 }, { id: 'order-3' });
say(`    → ${(await second.get('order-3'))?.status}`);
await second.stop();

say('5. A trip: two bookings at once, a person who must agree, and a change of mind.');
const trip = saga('trip', { input: z.object({ city: z.string(), children: z.boolean() }), deadline: '1d' })
  .parallel('book', (group) =>
    group
      .step('flight', ({ input }) => `a flight to ${input.city}`, { undo: () => say('    no flight') })
      .step('hotel', ({ input }) => `a room in ${input.city}`, { undo: () => say('    no room') }),
  )
  .step('cot', () => 'a cot', { undo: 'nothing', when: ({ input }) => input.children })
  .waitFor('approval', { schema: z.object({ by: z.string() }), timeout: '2h' })
  .pivot('pay', ({ results }) => `${results.flight} and ${results.hotel}, approved by ${results.approval.by}`)
  .delay('breathe', '20ms')
  .step('mail', ({ results }) => `you have ${results.pay}`);
const third = await new SagaRunner({ ...options, sagas: [trip] }).start();
await third.begin(trip, { city: 'Oslo', children: false }, { id: 'trip-1' });
await third.signal('trip-1', 'approval', { by: 'ann' }, { id: 'click-1' });
const { mail, cot } = await third.run(trip, { city: 'Oslo', children: false }, { id: 'trip-1' });
say(`    ${mail}; for children: ${cot ?? 'nothing'}`);
await third.begin(trip, { city: 'Rome', children: true }, { id: 'trip-2' });
const answer = await third.cancel('trip-2', { reason: 'Rome is full', by: 'bob' });
await third.run(trip, { city: 'Rome', children: true }, { id: 'trip-2' }).catch((error) => {
  say(`    → ${answer.outcome}: ${error.message}`);
});
say(`    and for the other trip: ${(await third.cancel('trip-1', { reason: 'too late' })).outcome}`);
await third.stop();

say('6. And without a conductor: services that answer to events.');
const bus = memoryBus();
const catalog = eventCatalog({
  'order.placed': z.object({ orderId: z.string() }),
  'order.paid': z.object({ orderId: z.string() }),
});
const shipped = new Promise<void>((resolve) => {
  void participant({
    bus,
    catalog,
    name: 'shipping',
    on: {
      'order.paid': ({ payload, correlationId }) => {
        say(`    shipping hears that ${payload.orderId} is paid (all part of ${correlationId})`);
        resolve();
      },
    },
  }).start();
});
await participant({
  bus,
  catalog,
  name: 'payments',
  on: {
    'order.placed': async ({ payload }, { publish }) => {
      say(`    payments hears of ${payload.orderId} and takes the money`);
      await publish('order.paid', payload);
    },
  },
}).start();
const shop = await participant({ bus, catalog, name: 'shop' }).start();
await shop.publish('order.placed', { orderId: 'order-4' }, { correlationId: 'order-4' });
await shipped;
await bus.close();
