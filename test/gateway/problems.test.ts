/** What the router itself answers when something went wrong. */
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/core/errors.ts';
import type { Guard } from '../../src/gateway/exchange/exchange.ts';
import { cache } from '../../src/gateway/guards/cache/response-cache.ts';
import { compress } from '../../src/gateway/guards/compress.ts';
import type { RequestFinished } from '../../src/gateway/router-events.ts';
import { ask, connected } from './http2-stage.ts';
import { closeAfterEach, listening, until } from './support.ts';

closeAfterEach();

const call = { ':method': 'POST', ':path': '/p', 'content-type': 'application/grpc', te: 'trailers' };
const refuse =
  (detail = 'no', headers = {}): Guard =>
  () => {
    throw new ProblemError(403, detail, { headers });
  };

describe('a problem', () => {
  it('has no fields that guards meant for another body, and each of its own once', async () => {
    const { client } = await connected((router) =>
      router
        .use(({ response }) => {
          response.set('Content-Type', 'text/html');
          response.set('CDN-Cache-Control', 'max-age=3600');
          response.set('Cache-Control', 'max-age=60');
          response.set('ETag', '"page"');
          response.set('Content-Range', 'bytes 0-1/2');
          response.set('Content-Security-Policy', "default-src 'none'");
          response.set('Retry-After', '1');
          response.append('Vary', 'Origin');
        })
        .use(refuse('no', { 'retry-after': '7', vary: 'Cookie', 'content-type': 'text/plain' }))
        .route('/*', { handle: () => new Response('page') }),
    );
    const { status, headers } = await ask(client, { ':path': '/' });
    expect([status, headers]).toMatchObject([
      403,
      {
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
        'retry-after': '7',
        vary: 'Cookie, Origin',
        'content-security-policy': "default-src 'none'",
      },
    ]);
    for (const name of ['cdn-cache-control', 'etag', 'content-range'])
      expect(headers).not.toHaveProperty(name);
  });

  it('may say itself how long it is kept', async () => {
    const { url } = await listening({}, (router) =>
      router.route('/*', { handle: refuse('no', { 'cache-control': 'max-age=60' }) as never }),
    );
    expect((await fetch(url)).headers.get('cache-control')).toBe('max-age=60');
  });

  it('is told to gRPC in any words', async () => {
    const { client } = await connected((router) =>
      router.route('/*', { guards: [refuse('no 😀 \ud800 é')], handle: () => new Response('page') }),
    );
    const { status, headers } = await ask(client, call, '');
    expect([status, headers['grpc-status']]).toEqual([200, '7']);
    expect(decodeURIComponent(String(headers['grpc-message']))).toBe('no 😀 \ufffd é');
  });

  it('is told to gRPC also when the request is none that could be served', async () => {
    const { client } = await connected((router) =>
      router.route('/*', { handle: () => new Response('page') }),
    );
    const { status, headers } = await ask(client, { ...call, ':path': '/a%2fb' }, '');
    expect([status, headers['grpc-status']]).toEqual([200, '13']);
  });

  it('of gRPC is, to those who watch the answer, what it is in HTTP', async () => {
    const finished: RequestFinished[] = [];
    let refusing = true;
    let served = 0;
    const { client, router } = await connected((it) =>
      it
        .use(compress())
        .use(cache())
        .use((exchange) => {
          if (refusing && exchange.method === 'POST') refuse()(exchange);
        })
        .route('/*', {
          handle: () => {
            served += 1;
            return new Response('page', { headers: { 'cache-control': 'max-age=60' } });
          },
        }),
    );
    router.on('finished', (event) => finished.push(event));
    await ask(client, { ':path': '/p' });
    await ask(client, call, '');
    await until(() => finished.length === 2);
    expect(finished.map(({ status }) => status)).toEqual([200, 403]);
    // What was refused has changed nothing, so that what is kept is still good.
    expect([(await ask(client, { ':path': '/p' })).body, served]).toEqual(['page', 1]);
    refusing = false;
    await ask(client, { ...call, 'content-type': 'text/plain' }, '');
    await ask(client, { ':path': '/p' });
    expect(served).toBe(3);
  });
});

describe('what a guard gives', () => {
  it('is awaited, whatever promise it is', async () => {
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a promise of another kind.
      then: (_resolve: unknown, reject: (error: Error) => void) => reject(new ProblemError(403, 'no')),
    };
    const { url } = await listening({}, (router) =>
      router.use((() => thenable) as never).route('/*', { handle: () => new Response('let in') }),
    );
    expect((await fetch(url)).status).toBe(403);
  });

  it.each([
    ['at once', () => ({ status: 403 })],
    ['later', async () => ({ status: 403 })],
  ])('lets nothing pass when it looks like an answer and is none, %s', async (_when, guard) => {
    const { url } = await listening({}, (router) =>
      router.use(guard as never).route('/*', { handle: () => new Response('let in') }),
    );
    expect((await fetch(url)).status).toBe(500);
  });
});
