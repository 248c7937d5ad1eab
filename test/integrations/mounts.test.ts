/** The router inside real frameworks, with and without their body parsers before it. */
import { createServer, type IncomingMessage } from 'node:http';
import { gzipSync } from 'node:zlib';
import express, { type Express } from 'express';
import fastify, { type FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { expressRouter } from '../../src/integrations/express.ts';
import { fastifyHandler, fastifyRouter } from '../../src/integrations/fastify.ts';
import { closeAfterEach, exchange, onCleanup, statusOf, upstream } from '../gateway/support.ts';

closeAfterEach();

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly type: string | undefined;
  readonly length: string | undefined;
  readonly coding: string | undefined;
  readonly encoding: string | undefined;
  readonly body: string;
}

/** An upstream that tells what it got. */
async function mirrorUpstream(): Promise<string> {
  const { url } = await upstream(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += (chunk as Buffer).toString('latin1');
    const { headers } = request;
    const seen: Seen = {
      method: request.method!,
      url: request.url!,
      type: headers['content-type'],
      length: headers['content-length'],
      coding: headers['transfer-encoding'],
      encoding: headers['content-encoding'],
      body,
    };
    response.setHeader('x-upstream', 'yes').end(JSON.stringify(seen));
  });
  return url;
}

async function routerTo(pattern = '/items/*'): Promise<RequestRouter> {
  const router = new RequestRouter().route(pattern, { url: await mirrorUpstream() });
  onCleanup(() => router.stop({ timeout: 0 }));
  return router;
}

async function served(app: Express): Promise<string> {
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => server.closeAllConnections());
  onCleanup(() => server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

async function listeningFastify(app: FastifyInstance): Promise<string> {
  onCleanup(() => app.close());
  return app.listen({ port: 0, host: '127.0.0.1' });
}

async function seen(url: string, init?: RequestInit): Promise<Seen> {
  const response = await fetch(url, init);
  expect(response.status).toBe(200);
  return (await response.json()) as Seen;
}

const post = (
  type: string,
  body: NonNullable<RequestInit['body']>,
  more: Record<string, string> = {},
): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': type, ...more },
  body,
});

describe('express', () => {
  it('mounts in one line, and passes on what no route leads to', async () => {
    const app = express();
    app.use('/api', expressRouter(await routerTo('GET,POST /items/*')));
    app.use('/api', (_request, response) => void response.send('from the app'));
    const url = await served(app);
    expect(await seen(`${url}/api/items/7?a=b`)).toMatchObject({
      method: 'GET',
      url: '/items/7?a=b',
      body: '',
    });
    const big = 'x'.repeat(300_000);
    expect(await seen(`${url}/api/items`, post('text/plain', big))).toMatchObject({
      url: '/items',
      body: big,
    });
    expect(await (await fetch(`${url}/api/else`)).text()).toBe('from the app');
    expect((await fetch(`${url}/api/items`, { method: 'DELETE' })).status).toBe(405);
    expect((await fetch(`${url}/api/items/..%2fx`)).status).toBe(400);
  });

  it('answers 404 itself when it is asked to', async () => {
    const app = express();
    app.use(expressRouter(await routerTo(), { unmatched: 'answer' }));
    const response = await fetch(`${await served(app)}/else`);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      404,
      'application/problem+json',
    ]);
  });

  async function behindParsers(): Promise<string> {
    const app = express();
    app.use(express.json(), express.urlencoded({ extended: true }), express.text(), express.raw());
    app.use(expressRouter(await routerTo('/*')));
    return served(app);
  }

  it('writes a JSON body again, with its right length', async () => {
    const url = await behindParsers();
    const body = '{ "name" : "Zo\u00eb", "list" : [1, null] }';
    const got = await seen(url, post('application/json', body));
    const sent = '{"name":"Zo\u00eb","list":[1,null]}';
    expect(Buffer.from(got.body, 'latin1').toString()).toBe(sent);
    expect([got.type, got.length, got.coding]).toEqual([
      'application/json',
      String(Buffer.byteLength(sent)),
      undefined,
    ]);
  });

  it('writes a compressed or chunked body again as it is now', async () => {
    const url = await behindParsers();
    const zipped = await seen(
      url,
      post('application/json', gzipSync('{"a":1}'), { 'content-encoding': 'gzip' }),
    );
    expect([zipped.body, zipped.length, zipped.encoding]).toEqual(['{"a":1}', '7', undefined]);
    const stream = new Blob(['{"a":2}']).stream();
    const chunked = await seen(url, { ...post('application/json', stream), duplex: 'half' } as RequestInit);
    expect([chunked.body, chunked.length, chunked.coding]).toEqual(['{"a":2}', '7', undefined]);
  });

  it.each([
    'a=1&b=x+y%26z',
    'a=1&a=2',
    'a%5B%5D=1',
    'a%5Bb%5D%5Bc%5D=1&a%5Bb%5D%5Bd%5D=',
    'a%5B0%5D%5Bb%5D=1&a%5B1%5D%5Bb%5D=2',
    'caf%C3%A9=%E2%82%AC',
    '',
  ])('writes the form %j again', async (form) => {
    const url = await behindParsers();
    const got = await seen(url, post('application/x-www-form-urlencoded', form));
    expect([got.body, got.length]).toEqual([form, String(form.length)]);
  });

  it('writes text in the charset that it names, and bytes as they are', async () => {
    const url = await behindParsers();
    const latin = await seen(url, post('text/plain; charset=iso-8859-1', Buffer.from('caf\u00e9', 'latin1')));
    expect([latin.body, latin.length, latin.type]).toEqual([
      'caf\u00e9',
      '4',
      'text/plain; charset=iso-8859-1',
    ]);
    const bytes = Buffer.from([0, 255, 128, 13, 10]);
    const raw = await seen(url, post('application/octet-stream', bytes));
    expect([raw.body, raw.length]).toEqual([bytes.toString('latin1'), '5']);
  });

  it('leaves a body alone that no parser has read', async () => {
    const url = await behindParsers();
    const got = await seen(url, post('application/xml', '<a/>'));
    expect([got.body, got.type]).toEqual(['<a/>', 'application/xml']);
    const bodiless = await seen(url);
    expect([bodiless.body, bodiless.length]).toEqual(['', undefined]);
  });

  it('sends the bytes that were signed, where the parser has kept them', async () => {
    const app = express();
    const verify = (request: IncomingMessage, _response: unknown, bytes: Buffer): void => {
      Object.assign(request, { rawBody: bytes });
    };
    app.use(express.json({ verify }), expressRouter(await routerTo('/*')));
    const got = await seen(await served(app), post('application/json', '{ "a" : 1 }'));
    expect(got.body).toBe('{ "a" : 1 }');
  });

  it('CVE-2023-51701: refuses a body that was read as something that its Content-Type does not say', async () => {
    const app = express();
    app.use(express.json({ type: () => true }), expressRouter(await routerTo('/*')));
    const response = await fetch(await served(app), post('text/html', '{"a":1}'));
    expect(response.status).toBe(415);
  });

  it('leaves a JSON body as it is that a parser for text has read', async () => {
    const app = express();
    app.use(express.text({ type: '*/*' }), expressRouter(await routerTo('/*')));
    const url = await served(app);
    for (const body of ['{ "a" : 1 }', '"text"', '5', '{"caf\u00e9": "\u20ac"}', 'no JSON at all']) {
      const got = await seen(url, post('application/json', body));
      expect([Buffer.from(got.body, 'latin1').toString(), got.length]).toEqual([
        body,
        String(Buffer.byteLength(body)),
      ]);
    }
  });

  it('writes a JSON text in quotation marks again that was parsed', async () => {
    const app = express();
    app.use(express.json({ strict: false }), expressRouter(await routerTo('/*')));
    const url = await served(app);
    for (const body of ['"text"', '"a\\nb"', '"{\\"a\\":1}"', '5', 'null']) {
      expect((await seen(url, post('application/json', body))).body).toBe(body);
    }
  });

  it('refuses a JSON body of which nobody can say whether it was parsed', async () => {
    const app = express();
    const caught: unknown[] = [];
    app.use(express.text({ type: '*/*' }), expressRouter(await routerTo('/*')));
    app.use(((error, _request, response, _next) => {
      caught.push(error);
      response.status(500).end();
    }) as express.ErrorRequestHandler);
    const url = await served(app);
    const chunked = { ...post('application/json', new Blob(['{"a":2}']).stream()), duplex: 'half' };
    const unsure = [
      chunked as RequestInit,
      post('application/json', '\ufeff{"a":1}'),
      post('application/json', gzipSync('{"a":1}'), { 'content-encoding': 'gzip' }),
    ];
    for (const request of unsure) expect((await fetch(url, request)).status).toBe(500);
    expect(caught.map(String)).toEqual(unsure.map(() => expect.stringContaining('request.rawBody')));
  });

  it('refuses a body of which nothing is left, and takes none for none', async () => {
    const app = express();
    const caught: unknown[] = [];
    app.use((request, _response, next) => void request.resume().on('end', () => next()));
    app.use(expressRouter(await routerTo('/*')));
    app.use(((error, _request, response, _next) => {
      caught.push(error);
      response.status(500).end();
    }) as express.ErrorRequestHandler);
    const url = await served(app);
    expect((await fetch(url, post('text/plain', 'precious'))).status).toBe(500);
    expect(String(caught[0])).toContain('mount the router before what reads it');
    expect(await seen(url, post('text/plain', ''))).toMatchObject({ body: '' });
    expect(await seen(url)).toMatchObject({ method: 'GET', body: '' });
  });

  it('an empty body stays empty, whatever a parser makes of it', async () => {
    const got = await seen(await behindParsers(), post('application/json', ''));
    expect([got.body, got.length]).toEqual(['', '0']);
  });

  it('CVE-2026-55603: puts no multipart body together again', async () => {
    const app = express();
    const caught: unknown[] = [];
    app.use(async (request, _response, next) => {
      for await (const _ of request);
      Object.assign(request, { body: { a: 'x\r\n--b\r\nContent-Disposition: form-data; name="admin"' } });
      next();
    });
    app.use(expressRouter(await routerTo('/*')));
    app.use(((error, _request, response, _next) => {
      caught.push(error);
      response.status(500).end();
    }) as express.ErrorRequestHandler);
    const response = await fetch(await served(app), post('multipart/form-data; boundary=b', '--b--'));
    expect([response.status, String(caught[0])]).toEqual([
      500,
      expect.stringContaining('mount the router before'),
    ]);
  });

  it('keeps the headers that middleware has set, and no request is answered twice', async () => {
    const app = express();
    app.use((_request, response, next) => {
      response.setHeader('X-App', 'yes');
      next();
    });
    app.use(expressRouter(await routerTo('/*')));
    const response = await fetch(await served(app));
    expect([response.headers.get('x-app'), response.headers.get('x-upstream')]).toEqual(['yes', 'yes']);
  });
});

describe('fastify', () => {
  it('mounts in one line, under its prefix, and bodies stream past its parsers', async () => {
    const app = fastify();
    await app.register(fastifyRouter, { router: await routerTo(), prefix: '/api' });
    app.post('/own', async (request) => ({ parsed: request.body }));
    const url = await listeningFastify(app);
    expect(await seen(`${url}/api/items/7?a=b`)).toMatchObject({ method: 'GET', url: '/items/7?a=b' });
    const body = '{ "as" : "sent" }';
    expect(await seen(`${url}/api/items`, post('application/json', body))).toMatchObject({
      body,
      url: '/items',
    });
    expect(await seen(`${url}/api/items`, post('application/unheard-of', 'a'))).toMatchObject({ body: 'a' });
    expect((await fetch(`${url}/api/else`)).headers.get('content-type')).toBe('application/problem+json');
    expect(await (await fetch(`${url}/own`, post('application/json', '{"a":1}'))).json()).toEqual({
      parsed: { a: 1 },
    });
  });

  it('finds no route by another spelling of the prefix', async () => {
    const app = fastify();
    await app.register(fastifyRouter, { router: await routerTo('/items'), prefix: '/api' });
    const url = await listeningFastify(app);
    const answer = await exchange(Number(new URL(url).port), ['GET /%61pi/items HTTP/1.1', 'Host: a']);
    expect(statusOf(answer)).toBe(404);
  });

  it('keeps the headers of hooks, and writes a body again that was parsed', async () => {
    const app = fastify();
    const router = await routerTo('/*');
    app.addHook('onRequest', async (_request, reply) => void reply.header('x-hook', 'yes'));
    app.all('/own/*', fastifyHandler(router, '/own'));
    const url = await listeningFastify(app);
    const response = await fetch(`${url}/own/a`, post('application/json', '{ "a" : 1 }'));
    expect(response.headers.get('x-hook')).toBe('yes');
    expect(await response.json()).toMatchObject({ url: '/a', body: '{"a":1}', length: '7' });
  });
});

describe('hono, and whatever else speaks in Requests', () => {
  it('mounts in one line', async () => {
    const router = await routerTo();
    const app = new Hono();
    app.mount('/api', (request) => router.fetch(request));
    app.all('/items/*', ({ req }) => router.fetch(req.raw));
    const ask = async (path: string, init?: RequestInit): Promise<unknown> =>
      (await app.request(`http://a${path}`, init)).json();
    expect(await ask('/api/items/7?a=b')).toMatchObject({ method: 'GET', url: '/items/7?a=b' });
    expect(await ask('/items/7', post('text/plain', 'hello'))).toMatchObject({
      url: '/items/7',
      body: 'hello',
    });
  });

  it('as a route handler of Next: a function from Request to Response', async () => {
    const router = await routerTo();
    const POST = (request: Request): Promise<Response> => router.fetch(request);
    const response = await POST(new Request('http://a/items/1', post('text/plain', 'hello')));
    expect(await response.json()).toMatchObject({ method: 'POST', body: 'hello' });
  });

  it('says so when the body of a Request was read already', async () => {
    const router = await routerTo();
    const request = new Request('http://a/items/1', post('text/plain', 'hello'));
    await request.text();
    expect((await router.fetch(request)).status).toBe(500);
  });
});
