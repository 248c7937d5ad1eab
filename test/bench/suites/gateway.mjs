/**
 * The router beside other proxies: the same upstream (nginx), the same load (wrk, 64 connections), each contender a
 * process of its own on a core of its own. Linux, with `wrk`, `nginx` and `taskset`.
 */
import { fileURLToPath } from 'node:url';
import { round, warm } from '../gateway/load.mjs';
import { cores, freePort, pinnedScript } from '../gateway/machine.mjs';
import { startProxy, startUpstream } from '../gateway/nginx.mjs';

const script = (name, environment = {}) => {
  const path = fileURLToPath(new URL(`../gateway/contenders/${name}.mjs`, import.meta.url));
  return async (upstream) => {
    const port = await freePort();
    const { pid } = await pinnedScript(cores.contender, path, {
      ...environment,
      UPSTREAM: upstream.url,
      PORT: String(port),
      NODE_ENV: 'production',
    });
    return { pid, url: `http://127.0.0.1:${port}` };
  };
};

/** What rivals are measured against: those that run on Node and do more than the least. */
const rivals = ['@fastify/http-proxy', 'fast-gateway', 'http-proxy-3', 'httpxy'];

const contenders = {
  direct: (upstream) => upstream,
  'nginx with 1 worker': async (upstream) => startProxy(cores.contender, await freePort(), upstream.url),
  ceiling: script('ceiling'),
  holdfast: script('holdfast'),
  'holdfast with access log': script('holdfast', { LOG: '1' }),
  'holdfast with 10k routes': script('holdfast', { ROUTES: '10000' }),
  '@fastify/http-proxy': script('fastify'),
  'fast-gateway': script('fast-gateway'),
  'http-proxy-3': script('http-proxy-3'),
  httpxy: script('httpxy'),
};

const columns = [
  { name: 'rate', says: 'req/s' },
  { name: 'cpu', says: 'CPU µs/req' },
  { name: 'p50', says: 'p50 ms' },
  { name: 'p99', says: 'p99 ms' },
  { name: 'memory', says: 'RSS MiB' },
];

function named(name, work) {
  return work.catch((cause) => {
    throw new Error(`${name}: ${cause.message}`, { cause });
  });
}

/**
 * Contenders take turns, each round beginning with another one. Many short rounds: what else a machine does comes and
 * goes within seconds, and is to meet all of them alike.
 */
const measuring =
  (request) =>
  async (starters, { long }) => {
    const [rounds, seconds] = long ? [15, 4] : [20, 1];
    const upstream = await startUpstream(cores.upstream, await freePort());
    const running = [];
    for (const [name, start] of Object.entries(starters))
      running.push({ name, target: await start(upstream), rounds: [] });
    for (const { name, target } of running) await named(name, warm(target, request));
    for (let turn = 0; turn < rounds; turn += 1) {
      for (let place = 0; place < running.length; place += 1) {
        const entry = running[(turn + place) % running.length];
        entry.rounds.push(await named(entry.name, round(entry.target, request, seconds)));
      }
    }
    return Object.fromEntries(running.map((entry) => [entry.name, entry.rounds]));
  };

const scenario = (name, title, request) => ({
  name,
  title,
  columns,
  contenders,
  measure: measuring(request),
});

/** How many requests per second of processor time, as a share of another contender's. */
const share = (results, other, name = 'holdfast') => results.by('cpu').ratio(other, name);
const bestRival = (results) => {
  const costs = results.by('cpu');
  return rivals.reduce((best, name) => (costs.median(name) < costs.median(best) ? name : best));
};

const ceilingTargets = ['get-1k', 'get-64k', 'post-10k'].map((name) => ({
  scenario: name,
  says: `${name}: requests for the same processor time, as a share of the ceiling's`,
  value: (r) => share(r, 'ceiling'),
  atLeast: 0.95,
  unit: '',
}));

export const suite = {
  name: 'gateway',
  title: 'Gateway',
  subject: 'ceiling',
  packages: ['undici', ...rivals, 'fastify'],
  scenarios: [
    scenario('get-1k', 'GET, 1 KiB', { path: '/1k' }),
    scenario('get-64k', 'GET, 64 KiB', { path: '/64k' }),
    scenario('post-10k', 'POST, 10 KiB', { path: '/post', post: 10_240 }),
  ],
  targets: [
    ...ceilingTargets,
    {
      scenario: 'get-1k',
      says: 'get-1k: requests for the same processor time, as a multiple of the best rival on Node',
      value: (r) => share(r, bestRival(r)),
      atLeast: 1.4,
      unit: '',
    },
    {
      scenario: 'get-1k',
      says: "get-1k: p99, as a multiple of the ceiling's",
      value: (r) => r.by('p99').ratio('holdfast', 'ceiling'),
      limit: 1.1,
      unit: '',
    },
    ...[
      ['access log', 'holdfast with access log'],
      ['10,000 routes', 'holdfast with 10k routes'],
    ].map(([says, name]) => ({
      scenario: 'get-1k',
      says: `get-1k: processor time with ${says}, as a multiple of without`,
      value: (r) => r.by('cpu').ratio(name, 'holdfast'),
      limit: 1.03,
      unit: '',
    })),
  ],
};
