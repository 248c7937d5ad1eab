import { Transform } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ExchangeOutcome } from '../../src/gateway/exchange/exchange-record.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  raw,
  rawUpstream,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

const upperCase = (): Transform =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk.toString().toUpperCase());
    },
  });

describe('filters of answers', () => {
  it('change head and body of an upstream, a handler and a refusal alike', async () => {
    const { url } = await upstream((_request, response) => response.end('from upstream'));
    const { port } = await listening({}, (router) =>
      router
        .use((it) =>
          it.filterAnswer((head) => {
            head.headers.delete('content-length');
            head.headers.set('X-Was', String(head.status));
            head.status = 418;
            return upperCase();
          }),
        )
        .route('/up', { url })
        .route('/here', { handle: () => new Response('from here') })
        .route('/no', {
          guards: [
            () => {
              throw new Error('no');
            },
          ],
          url,
        }),
    );
    const get = (path: string): Promise<string> => exchange(port, [`GET ${path} HTTP/1.1`, 'Host: a']);
    for (const [path, was, text] of [
      ['/up', 200, 'FROM UPSTREAM'],
      ['/here', 200, 'FROM HERE'],
      ['/no', 500, 'THE REQUEST COULD NOT BE SERVED'],
    ] as const) {
      const answer = await get(path);
      expect(statusOf(answer)).toBe(418);
      expect(answer).toContain(`X-Was: ${was}`);
      expect(answer).toContain(text);
    }
  });

  it('the one added last sees the answer first', async () => {
    const order: string[] = [];
    const { url } = await listening({}, (router) =>
      router
        .use((it) => it.filterAnswer(() => void order.push('first')))
        .use((it) => it.filterAnswer(() => void order.push('second')))
        .route('/*', { handle: () => new Response('x') }),
    );
    await (await fetch(url)).text();
    expect(order).toEqual(['second', 'first']);
  });

  it('a client that reads slowly slows the upstream through the stream', async () => {
    const total = 8_000_000;
    let sent = 0;
    const { url } = await upstream((_request, response) => {
      const piece = Buffer.alloc(65_536, 97);
      const more = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!response.write(piece)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const { port } = await listening({}, (router) =>
      router.use((it) => it.filterAnswer(() => upperCase())).route('/*', { url }),
    );
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    client.socket.pause();
    let before = -1;
    await until(() => {
      const stalled = sent > 0 && sent === before;
      before = sent;
      return stalled;
    });
    expect(sent).toBeLessThan(total);
    client.socket.resume();
    expect((await client.closed).match(/A/g)?.length).toBeGreaterThanOrEqual(total);
  });

  it.each([['an answer that breaks off', false] as const, ['a whole answer', true] as const])(
    'a watcher is told of %s once',
    async (_name, whole) => {
      const { url } = await rawUpstream((socket) => {
        socket.on('data', () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${whole ? 2 : 9}\r\n\r\nok`));
      });
      const ends: boolean[] = [];
      let seen = '';
      const outcomes: ExchangeOutcome[] = [];
      const { port } = await listening({}, (router) =>
        router
          .use((it) => {
            it.onFinished((outcome) => outcomes.push(outcome));
            it.filterAnswer(() => ({
              piece: (chunk) => {
                seen += Buffer.from(chunk).toString();
              },
              over: (all) => ends.push(all),
            }));
          })
          .route('/*', { url }),
      );
      await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
      await until(() => outcomes.length > 0);
      expect([seen, ends, outcomes.length, outcomes[0]?.status]).toEqual(['ok', [whole], 1, 200]);
    },
  );

  it('a stream that fails breaks the answer off', async () => {
    const { url } = await upstream((_request, response) => response.end('x'.repeat(100)));
    const { port, finished } = await listening({}, (router) =>
      router
        .use((it) =>
          it.filterAnswer(() => new Transform({ transform: (_c, _e, done) => done(new Error('no')) })),
        )
        .route('/*', { url }),
    );
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(answer).not.toContain('xx');
    await until(() => finished.length > 0);
    expect(finished[0]?.error).toEqual(new Error('no'));
  });
});
