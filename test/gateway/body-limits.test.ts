/** How long a request's body may be, however its length is told and whoever reads it. */
import { describe, expect, it } from 'vitest';
import type { Exchange } from '../../src/gateway/exchange/exchange.ts';
import type { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RequestRouterOptions } from '../../src/gateway/router-options.ts';
import { closeAfterEach, exchange, listening, statusOf, upstream } from './support.ts';

closeAfterEach();

const announced = (port: number, path: string, length: number): Promise<string> =>
  exchange(port, [`POST ${path} HTTP/1.1`, 'Host: a', `Content-Length: ${length}`], 'x'.repeat(length));

const chunked = (port: number, path: string, length: number): Promise<string> =>
  exchange(
    port,
    [`POST ${path} HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked'],
    `${length.toString(16)}\r\n${'x'.repeat(length)}\r\n0\r\n\r\n`,
  );

/** A router before an upstream that remembers how much it got of each whole request. */
async function stage(
  options: RequestRouterOptions,
  declare: (router: RequestRouter, url: string) => unknown,
): Promise<{ readonly port: number; readonly received: number[] }> {
  const received: number[] = [];
  const { url } = await upstream((request, response) => {
    let length = 0;
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    request.on('end', () => {
      received.push(length);
      response.end('ok');
    });
  });
  const { port } = await listening(options, (router) => declare(router, url));
  return { port, received };
}

describe.each([
  ['announced', announced],
  ['chunked', chunked],
])('a body that is %s', (_what, send) => {
  it('is no longer than limits.body, also for whoever reads it whole', async () => {
    const read = async (it: Exchange): Promise<void> => void (await it.readBody());
    const { port, received } = await stage({ limits: { body: 10 } }, (router, url) =>
      router
        .route('/guarded', { url, guards: [read] })
        .route('/handled', { handle: async (it) => new Response(await it.readBody()) })
        .route('/sent', { url }),
    );
    for (const path of ['/guarded', '/handled', '/sent']) {
      expect([path, statusOf(await send(port, path, 10))]).toEqual([path, 200]);
      expect([path, statusOf(await send(port, path, 11))]).toEqual([path, 413]);
    }
    expect(received).toEqual([10, 10]);
  });

  it.each([100, 65_536, 70_000])('of %i bytes is too long for a guard that says so', async (length) => {
    const { port, received } = await stage({}, (router, url) =>
      router
        .route('/limited', { url, guards: [(it) => it.limitBody(length - 1)] })
        .route('/enough', { url, guards: [(it) => it.limitBody(length)] }),
    );
    expect(statusOf(await send(port, '/limited', length))).toBe(413);
    expect(statusOf(await send(port, '/enough', length))).toBe(200);
    expect(received).toEqual([length]);
  });

  it('is too long for a guard that says so after another has read it', async () => {
    const { port, received } = await stage({}, (router, url) =>
      router.route('/', {
        url,
        guards: [async (it) => void (await it.readBody()), (it) => it.limitBody(10)],
      }),
    );
    expect(statusOf(await send(port, '/', 11))).toBe(413);
    expect(statusOf(await send(port, '/', 10))).toBe(200);
    expect(received).toEqual([10]);
  });

  it('is too long for the second reader, too', async () => {
    const { port } = await stage({}, (router) =>
      router.route('/', {
        handle: async (it) => {
          await it.readBody();
          return new Response(await it.readBody(10));
        },
      }),
    );
    expect(statusOf(await send(port, '/', 11))).toBe(413);
    expect(statusOf(await send(port, '/', 10))).toBe(200);
  });
});

it('a guard cannot make the limit of the router larger', async () => {
  const { port } = await stage({ limits: { body: 10 } }, (router, url) =>
    router.route('/', { url, guards: [(it) => it.limitBody(1_000)] }),
  );
  expect(statusOf(await chunked(port, '/', 11))).toBe(413);
});
