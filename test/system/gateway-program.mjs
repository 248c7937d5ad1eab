/** A gateway with workers, as a user would write it. Its primary says what happens, one JSON a line. */
import cluster from 'node:cluster';
import { setTimeout } from 'node:timers/promises';
import { RequestRouter, rateLimit, stopOnSignals } from 'holdfast';

const [port = '0', workers = '2'] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const router = new RequestRouter({ health: true })
  .route('/pid', { handle: () => new Response(String(process.pid)) })
  .route('/slow', {
    handle: async () => {
      await setTimeout(500);
      return new Response(`done by ${process.pid}`);
    },
  })
  .route('/limited', {
    guards: [rateLimit({ limit: 20, per: '1h', key: ({ headers }) => headers.get('x-client') ?? 'nobody' })],
    handle: () => new Response('in'),
  })
  .route('/other', {
    guards: [rateLimit({ limit: 20, per: '1h', key: ({ headers }) => headers.get('x-client') ?? 'nobody' })],
    handle: () => new Response('in'),
  });

stopOnSignals(router, { timeout: '5s' });
if (cluster.isPrimary) {
  router.on('workerExited', (exited) => say({ exited }));
  router.on('stopped', (stopped) => say({ stopped }));
}
const address = await router.listen({ port: Number(port), host: '127.0.0.1', workers: Number(workers) });
if (cluster.isPrimary) say({ address });
