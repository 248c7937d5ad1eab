/** A gateway with workers, as a user would write it. Its primary says what happens, one JSON a line. */
import cluster from 'node:cluster';
import { setTimeout } from 'node:timers/promises';
import { RequestRouter, rateLimit, stopOnSignals } from 'holdfast';

const [port = '0', workers = '2'] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

// Made in another order in every other worker: who counts with whom must not depend on that.
const perClient = { limit: 20, per: '1h', key: ({ headers }) => headers.get('x-client') ?? 'nobody' };
const named = () => rateLimit({ ...perClient, name: 'other' });
const inOrder = cluster.worker === undefined || cluster.worker.id % 2 === 0;
const early = inOrder ? undefined : named();
const limited = rateLimit(perClient);
const other = early ?? named();
const wide = rateLimit({ ...perClient, limit: 25 });

const router = new RequestRouter({ health: true })
  .route('/pid', { handle: () => new Response(String(process.pid)) })
  .route('/slow', {
    handle: async () => {
      await setTimeout(500);
      return new Response(`done by ${process.pid}`);
    },
  })
  .route('/limited', {
    guards: [limited],
    handle: () => new Response('in'),
  })
  .route('/other', { guards: [other], handle: () => new Response('in') })
  .route('/wide', { guards: [wide], handle: () => new Response('in') });

stopOnSignals(router, { timeout: '5s' });
if (cluster.isPrimary) {
  router.on('workerExited', (exited) => say({ exited }));
  router.on('stopped', (stopped) => say({ stopped }));
}
const address = await router.listen({ port: Number(port), host: '127.0.0.1', workers: Number(workers) });
if (cluster.isPrimary) say({ address });
