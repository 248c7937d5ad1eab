/**
 * The two ends of the soak of the gateway, in a process of their own: the upstream, and the clients. Says which port the
 * upstream has; told `{ front }` and then `{ run: n }`, lets the clients ask n times and says what has come of it so far.
 */
import { once } from 'node:events';
import { Agent, createServer, request as startRequest } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

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
  const server = createServer((request, response) => {
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

/** How many requests a client sends at once on a connection that it keeps, most of the time. */
const burst = 16;

/** The share of each kind of what else a client does. */
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

const agent = new Agent({ keepAlive: true, maxSockets: width });
const counts = { whole: 0, left: 0, brokenOff: 0, refused: 0, unexpected: 0, mixedUp: 0 };
let front;
let number = 0;

/** Sixteen of seventeen requests come in bursts, so that there are millions of them in less than an hour. */
async function turn(client) {
  if (Math.random() < 0.5) return many(client);
  await one();
  return 1;
}

/** Requests sent at once on the connection of a client: each answer is its own, and comes in its turn. */
async function many(client) {
  number += 1;
  const paths = Array.from({ length: burst }, (_, at) => `/echo/${number}-${at}`);
  if (!client.socket || client.socket.destroyed) client.socket = connectTo(front);
  const { socket } = client;
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: soak\r\n\r\n`).join(''));
  const text = await readUntil(socket, paths.at(-1));
  const bodies = text.split(/HTTP\/1\.1 200 OK\r\n[\s\S]*?\r\n\r\n/).slice(1);
  if (bodies.length !== burst) counts.unexpected += burst;
  else counts[bodies.every((body, at) => body === paths[at]) ? 'whole' : 'mixedUp'] += burst;
  return burst;
}

/** What comes on a socket until it ends with these words, or is closed. */
const readUntil = (socket, words) =>
  new Promise((resolve) => {
    let text = '';
    const take = (chunk) => {
      text += chunk;
      if (text.endsWith(words)) end();
    };
    const end = () => {
      socket.off('data', take).off('close', end);
      resolve(text);
    };
    socket.on('data', take).once('close', end);
  });

const connectTo = (port) =>
  connect(port, '127.0.0.1')
    .setEncoding('latin1')
    .on('error', () => {});

async function one() {
  number += 1;
  const kind = kinds[Math.floor(Math.random() * kinds.length)];
  if (kind === 'pipelined' || kind === 'switch') return inLine(kind, number);
  const behaviour = { slow: 'long', leave: 'stall', 'leave-guarded': 'guarded' }[kind] ?? kind;
  const path = `/${behaviour}/${number}`;
  const body = kind === 'post' ? `body of ${number}` : undefined;
  const asked = startRequest({ port: front, host: '127.0.0.1', agent, path, method: body ? 'POST' : 'GET' });
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
  const paths = [`/echo/${id}-1`, `/guarded/${id}-2`, kind === 'switch' ? `/switch/${id}` : `/echo/${id}-3`];
  const words = `said by ${id};`;
  const last = kind === 'switch' ? 'Connection: Upgrade\r\nUpgrade: echo' : 'Connection: close';
  const socket = connectTo(front);
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
  const named = [...text.matchAll(/(?:\/echo\/|\/guarded\/|said by )(\d+)/g)];
  const others = named.some(([, asker]) => asker !== `${id}`);
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
  const ask = async () => {
    const client = {};
    while (left > 0) {
      const asked = await turn(client);
      left -= asked;
    }
    client.socket?.destroy();
  };
  await Promise.all(Array.from({ length: width }, ask));
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

const upstream = await startUpstream();
process.on('message', async (message) => {
  if (message.front) front = message.front;
  if (message.run === undefined) return;
  await run(message.run);
  process.send({ counts });
});
process.on('disconnect', () => process.exit());
process.send({ port: upstream.address().port });
