import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import { type Policy, wrapWith } from '../../src/core/policy.ts';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, exchange, listening, registryOf, statusOf, until, upstream } from './support.ts';

closeAfterEach();

const trusting = { trustedProxies: ['127.0.0.1'] };

describe('deadlines', () => {
  it('are believed from trusted proxies only, and go on with what is left', async () => {
    const { clock } = testRuntime();
    const { url: echo } = await upstream((request, response) =>
      response.end(JSON.stringify({ headers: request.headers })),
    );
    const believing = await listening({ ...trusting, runtime: { clock } }, (router) => {
      router.use(() => clock.advanceSync(500));
      router.route('/*', { url: echo });
    });
    const doubting = await listening({}, (router) => router.route('/*', { url: echo }));
    const headers = { 'X-Request-Timeout': '2s' };
    const seenAt = async (url: string, more = {}): Promise<unknown[]> => {
      const answer = await fetch(url, { headers: { ...headers, ...more } });
      const { headers: got } = (await answer.json()) as { headers: Record<string, string> };
      return [got['x-request-timeout'], got.x_request_timeout];
    };
    expect(await seenAt(believing.url)).toEqual(['1500ms', undefined]);
    expect(await seenAt(doubting.url, { X_Request_Timeout: '1' })).toEqual([undefined, undefined]);
  });

  it('that nobody can keep to are refused', async () => {
    const { port } = await listening(trusting, (router) => router.route('/*', { url: 'http://127.0.0.1:1' }));
    for (const value of ['soon', '-1', '1.5e9s', '10s, 20s']) {
      const lines = ['GET / HTTP/1.1', 'Host: a', `X-Request-Timeout: ${value}`];
      expect([value, statusOf(await exchange(port, lines))]).toEqual([value, 400]);
    }
    expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'X-Request-Timeout: 0']))).toBe(504);
  });

  it.each(['/plain', '/policy', '/service', '/compose'])(
    '%s: the upstream is let go when the time is over, and the answer is 504',
    async (path) => {
      const { clock } = testRuntime();
      let arrived = 0;
      let closed = 0;
      const { url: stuck } = await upstream((_request, response) => {
        arrived += 1;
        response.on('close', () => {
          closed += 1;
        });
      });
      const registry = registryOf({ stuck: [stuck] });
      const { url } = await listening({ ...trusting, registry, runtime: { clock } }, (router) =>
        router
          .route('/plain', { url: stuck })
          .route('/policy', { url: stuck, policy: retry({ attempts: 5, runtime: { clock } }) })
          .route('/service', { service: 'stuck' })
          .route('/compose', { compose: { a: 'stuck:/a' } }),
      );
      const asked = fetch(url + path, { headers: { 'X-Request-Timeout': '250' } });
      await until(() => arrived === 1);
      await clock.advance(250);
      expect((await asked).status).toBe(504);
      await until(() => closed === 1);
      expect(arrived).toBe(1);
      if (path === '/service') expect(registry.open).toBe(0);
    },
  );

  it('do not cut off an answer that has begun', async () => {
    const { clock } = testRuntime();
    let finish = (): void => {};
    const { url: slow } = await upstream((_request, response) => {
      response.write('first ');
      finish = () => response.end('last');
    });
    const { url } = await listening({ ...trusting, runtime: { clock } }, (router) =>
      router.route('/*', { url: slow }),
    );
    const response = await fetch(url, { headers: { 'X-Request-Timeout': '1s' } });
    await clock.advance(60_000);
    finish();
    expect(await response.text()).toBe('first last');
  });

  it('reach policies: none begins what cannot end in time', async () => {
    const seen: (number | undefined)[] = [];
    const { clock } = testRuntime();
    const { url: fine } = await upstream((_request, response) => response.end('fine'));
    const policy: Policy = {
      run: async (work, options) => {
        seen.push(options?.deadline);
        return work({ signal: new AbortController().signal, attempt: 1, deadline: options?.deadline });
      },
      wrap: (work) => wrapWith(policy, work),
    };
    const { url } = await listening({ ...trusting, runtime: { clock } }, (router) =>
      router.route('/*', { url: fine, policy }),
    );
    const begun = clock.now();
    expect(await (await fetch(url, { headers: { 'X-Request-Timeout': '1s' } })).text()).toBe('fine');
    expect(seen).toEqual([begun + 1_000]);
  });
});

describe('a guard', () => {
  it('has no more time than its route: 504, and what it answers later goes nowhere', async () => {
    const { clock } = testRuntime();
    const late: { decide?: (response: Response) => void; cancelled?: unknown } = {};
    const { url } = await listening({ runtime: { clock } }, (it) =>
      it
        .use(
          () =>
            new Promise((resolve) => {
              late.decide = resolve;
            }),
        )
        .route('/*', { timeouts: { total: 300 }, handle: () => new Response('handled') }),
    );
    const asked = fetch(url);
    await until(() => late.decide !== undefined);
    await clock.advance(300);
    expect((await asked).status).toBe(504);
    const body = new ReadableStream({
      cancel: (reason) => {
        late.cancelled = reason;
      },
    });
    late.decide?.(new Response(body));
    await until(() => late.cancelled !== undefined);
    expect(late.cancelled).toBeInstanceOf(TimeoutError);
  });

  it('that rejects when its time is over already breaks nothing', async () => {
    const { clock } = testRuntime();
    const { url } = await listening({ ...trusting, runtime: { clock } }, (it) =>
      it
        .use(() => {
          clock.advanceSync(500);
          return Promise.reject(new Error('too late to matter'));
        })
        .route('/*', { handle: () => new Response('handled') }),
    );
    expect((await fetch(url, { headers: { 'X-Request-Timeout': '300' } })).status).toBe(504);
  });

  it('whose time is over already is told so, and its late answer is given up', async () => {
    const { clock } = testRuntime();
    const late: { reason?: unknown; cancelled?: unknown } = {};
    const { url } = await listening({ ...trusting, runtime: { clock } }, (it) =>
      it
        .use(async ({ signal }) => {
          signal.addEventListener('abort', () => {
            late.reason = signal.reason;
          });
          clock.advanceSync(500);
          await new Promise((resolve) => setImmediate(resolve));
          return new Response(
            new ReadableStream({
              cancel: (reason) => {
                late.cancelled = reason;
              },
            }),
          );
        })
        .route('/*', { handle: () => new Response('handled') }),
    );
    expect((await fetch(url, { headers: { 'X-Request-Timeout': '300' } })).status).toBe(504);
    await until(() => late.cancelled !== undefined);
    expect([late.reason, late.cancelled]).toEqual([expect.any(TimeoutError), expect.any(TimeoutError)]);
  });
});

describe('a handler whose time is over', () => {
  it('is given up: 504, its signal aborts, and what it gives later goes nowhere', async () => {
    const { clock } = testRuntime();
    const late: { give?: (response: Response) => void; reason?: unknown; cancelled?: unknown } = {};
    const { url, router } = await listening({ runtime: { clock } }, (it) =>
      it
        .route('/slow', {
          timeouts: { total: 300 },
          handle: ({ signal }) => {
            signal.addEventListener('abort', () => {
              late.reason = signal.reason;
            });
            return new Promise((resolve) => {
              late.give = resolve;
            });
          },
        })
        .route('/quick', { timeouts: { total: 300 }, handle: () => new Response('in time') }),
    );
    expect(await fetch(`${url}/quick`).then((response) => response.text())).toBe('in time');
    const asked = fetch(`${url}/slow`);
    await until(() => late.give !== undefined);
    clock.advance(300);
    const response = await asked;
    expect([response.status, response.headers.get('content-type')]).toEqual([
      504,
      'application/problem+json',
    ]);
    expect(late.reason).toBeInstanceOf(TimeoutError);
    const body = new ReadableStream({
      cancel(reason) {
        late.cancelled = reason;
      },
    });
    late.give!(new Response(body));
    await until(() => late.cancelled !== undefined);
    expect(router.active).toBe(0);
  });

  it('is one that a trusted proxy does not wait for any longer, too; one that throws late harms nobody', async () => {
    const { clock } = testRuntime();
    let fail: ((error: Error) => void) | undefined;
    const { url } = await listening({ ...trusting, runtime: { clock } }, (it) =>
      it.route('/slow', {
        handle: () =>
          new Promise((_resolve, reject) => {
            fail = reject;
          }),
      }),
    );
    const asked = fetch(`${url}/slow`, { headers: { 'X-Request-Timeout': '1s' } });
    await until(() => fail !== undefined);
    clock.advance(1_000);
    expect((await asked).status).toBe(504);
    fail!(new Error('too late'));
  });

  it('may send a stream that it has begun for as long as it likes', async () => {
    const { clock } = testRuntime();
    let controller: ReadableStreamDefaultController | undefined;
    const { url } = await listening({ runtime: { clock } }, (it) =>
      it.route('/', {
        timeouts: { total: 300 },
        handle: () =>
          new Response(
            new ReadableStream({
              start(given) {
                controller = given;
                given.enqueue(new TextEncoder().encode('begun '));
              },
            }),
          ),
      }),
    );
    const response = await fetch(url);
    clock.advance(1_000);
    controller?.enqueue(new TextEncoder().encode('ended'));
    controller?.close();
    expect(await response.text()).toBe('begun ended');
  });
});
