/**
 * Requests through the router to upstreams that answer, stall, break off, change the protocol and are not there, from
 * clients that read slowly, leave, also while a guard thinks, and send several at once on a connection. Every answer names the request that it is for: one that came to another request is counted.
 */
import { once } from 'node:events';
import { Agent, request as ask, createServer } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { CircuitBreaker, RequestRouter, ServiceRegistry } from 'holdfast';
import { memoryRegistry } from 'holdfast/adapters/memory';

/** How many clients ask at once. */
const width = 64;

const long = 'x'.repeat(200_000);

/** What an upstream does with a request, by the first segment of its path. */
const behaviours = {
  echo: (request, response) => response.end(request.url),
  long: (request, response) => response.end(request.url + long),
  post: (request, response) => {
    response.write(`${request.url} `);
    request.pipe(response);
  },
  stall: () => {},
  cut: (request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write(request.url);
    setImmediate(() => response.destroy());
  },
  fail: (request, response) => response.writeHead(503).end(request.url),
};
behaviours.guarded = behaviours.echo;

async function startUpstream() {
  const server = createServer({ keepAliveTimeout: 50 }, (request, response) => {
    behaviours[request.url.split('/')[1]](request, response);
  });
  server.on('upgrade', (_request, socket, head) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function startRouter(port) {
  const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
  const host = '127.0.0.1';
  await registry.register({ id: 'one', service: 'upstream', host, port });
  await registry.register({ id: 'two', service: 'upstream', host, port });
  await registry.register({ id: 'gone', service: 'dead', host, port: 1 });
  const breaker = new CircuitBreaker({ name: 'soak', failureRate: 1, minimumCalls: 1_000_000 });
  const router = new RequestRouter({ registry })
    .route('/dead/*', { service: 'dead' })
    .route('/guarded/*', { service: 'upstream', guards: [() => pause(2)] })
    .route('/switch/*', { service: 'upstream', upgrade: true })
    .route('/*', { service: 'upstream', policy: breaker });
  const { port: front } = await router.listen({ port: 0, host });
  return { registry, router, front };
}

/** The share of each kind of request, and what is to come of it. */
const kinds = [
  ...Array(12).fill('echo'),
  ...Array(4).fill('post'),
  'guarded',
  'pipelined',
  'switch',
  'leave-guarded',
  'long',
  'slow',
  'leave',
  'cut',
  'fail',
  'dead',
];

export async function soak() {
  const handlesBefore = process.getActiveResourcesInfo().length;
  const upstream = await startUpstream();
  const { registry, router, front } = await startRouter(upstream.address().port);
  const agent = new Agent({ keepAlive: true, maxSockets: width });
  const counts = { whole: 0, left: 0, brokenOff: 0, refused: 0, unexpected: 0, mixedUp: 0 };
  let number = 0;

  async function one() {
    number += 1;
    const kind = kinds[Math.floor(Math.random() * kinds.length)];
    if (kind === 'pipelined' || kind === 'switch') return inLine(kind, number);
    const behaviour = { slow: 'long', leave: 'stall', 'leave-guarded': 'guarded' }[kind] ?? kind;
    const path = `/${behaviour}/${number}`;
    const body = kind === 'post' ? `body of ${number}` : undefined;
    const asked = ask({ port: front, host: '127.0.0.1', agent, path, method: body ? 'POST' : 'GET' });
    asked.end(body);
    if (kind === 'leave' || kind === 'leave-guarded') {
      setImmediate(() => asked.destroy());
      await once(asked, 'close').catch(() => {});
      counts.left += 1;
      return;
    }
    const answer = await once(asked, 'response').then(
      ([response]) => read(response, kind === 'slow'),
      () => undefined,
    );
    judge(kind, path, body, answer);
  }

  /** Three requests sent at once on a connection of their own, of which the last may change its protocol. */
  async function inLine(kind, id) {
    const paths = [
      `/echo/${id}-1`,
      `/guarded/${id}-2`,
      kind === 'switch' ? `/switch/${id}` : `/echo/${id}-3`,
    ];
    const words = `said by ${id};`;
    const last = kind === 'switch' ? 'Connection: Upgrade\r\nUpgrade: echo' : 'Connection: close';
    const socket = connect(front, '127.0.0.1')
      .setEncoding('latin1')
      .on('error', () => {});
    socket.write(
      paths
        .map((path, at) => `GET ${path} HTTP/1.1\r\nHost: soak\r\n${at === 2 ? `${last}\r\n` : ''}\r\n`)
        .join(''),
    );
    let text = '';
    let said = false;
    socket.on('data', (chunk) => {
      text += chunk;
      if (!said && text.includes('101 Switching')) said = socket.write(words);
      if (text.endsWith(words)) socket.end();
    });
    await once(socket, 'close');
    const wanted = kind === 'switch' ? [...paths.slice(0, 2), words] : paths;
    const places = wanted.map((part) => text.indexOf(part));
    const inOrder = places.every((place, at) => place > (places[at - 1] ?? 0));
    const others = text
      .match(/\/(?:echo|guarded)\/\d+|said by \d+/g)
      ?.some((part) => !part.endsWith(`${id}`));
    counts[others ? 'mixedUp' : inOrder ? 'whole' : 'unexpected'] += 1;
  }

  function judge(kind, path, body, answer) {
    if (answer === undefined || !answer.whole) counts[kind === 'cut' ? 'brokenOff' : 'unexpected'] += 1;
    else if (kind === 'dead') counts[answer.status === 502 ? 'refused' : 'unexpected'] += 1;
    else if (kind === 'cut') counts.unexpected += 1;
    else if (answer.text !== expected(kind, path, body)) counts.mixedUp += 1;
    else counts.whole += 1;
  }

  async function run(count) {
    let left = count;
    const client = async () => {
      while (left > 0) {
        left -= 1;
        await one();
      }
    };
    await Promise.all(Array.from({ length: width }, client));
    // The router learns a moment later than the client that it has left.
    for (let turn = 0; turn < 200 && router.active > 0; turn += 1) await pause(5);
  }

  return {
    run,
    /** What is still under way when nobody asks any more. */
    timers: () => router.active,
    summary: () =>
      `${JSON.stringify(counts)}, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB resident`,
    /** Whether anything was wrong that the heap does not show. */
    async stop() {
      agent.destroy();
      await router.stop();
      await registry.stop();
      upstream.closeAllConnections();
      upstream.close();
      await once(upstream, 'close');
      await pause(100);
      const handles = process.getActiveResourcesInfo().length - handlesBefore;
      console.log(`handles more than at the start: ${handles}`);
      return counts.mixedUp === 0 && counts.unexpected === 0 && handles <= 0;
    },
  };
}

function expected(kind, path, body) {
  if (kind === 'post') return `${path} ${body}`;
  return kind === 'long' || kind === 'slow' ? path + long : path;
}

/** Take an answer; slowly, a piece at a time with turns of the event loop between, or as it comes. */
async function read(response, slowly) {
  let text = '';
  try {
    for await (const chunk of response) {
      text += chunk;
      if (slowly) await pause(1);
    }
    return { status: response.statusCode, text, whole: response.complete };
  } catch {
    return { status: response.statusCode, text, whole: false };
  }
}
