import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { retry } from '../../src/resilience/retry.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  onCleanup,
  registryOf,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

/** A step that waits until it is let go. */
function gate(): { readonly waits: () => Promise<void>; readonly count: () => number; letGo(): void } {
  const held: (() => void)[] = [];
  return {
    waits: () => new Promise((resolve) => held.push(resolve)),
    count: () => held.length,
    letGo: () => {
      for (const go of held) go();
    },
  };
}

/** Sends a request and leaves once `ready`. */
async function leave(port: number, path: string, ready: () => boolean): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  onCleanup(() => socket.destroy());
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(ready, 'the guard to be asked');
  socket.destroy();
}

async function upstreamThatNeverEnds() {
  const asked: (string | undefined)[] = [];
  const server = await upstream((request, response) => {
    asked.push(request.url);
    response.write('piece');
  });
  return { ...server, asked };
}

describe('a client that leaves while a guard thinks', () => {
  it.each([
    ['on the short way', {}],
    ['under a policy', { policy: retry({ attempts: 2 }) }],
    ['with retries', { retries: true }],
    ['with a mirror', { mirror: { service: 'one' } }],
  ])('costs no call to an upstream, %s', async (_name, options) => {
    const { url, asked } = await upstreamThatNeverEnds();
    const { waits, count, letGo } = gate();
    const registry = registryOf({ one: [url] });
    const { port, router } = await listening({ registry }, (it) =>
      it
        .use(waits)
        .route('/after', { handle: () => new Response('ok') })
        .route('/*', { service: 'one', ...options }),
    );
    await leave(port, '/gone', () => count() === 1);
    await until(() => router.active === 0, 'nothing under way');
    letGo();
    const after = router.fetch(new Request('http://a/after'));
    await until(() => count() === 2, 'another request');
    letGo();
    expect((await after).status).toBe(200);
    expect([asked, registry.open, registry.outcomes]).toEqual([[], 0, []]);
  });

  it('costs no call of a composition, and none to a handler', async () => {
    const { url, asked } = await upstreamThatNeverEnds();
    const { waits, count, letGo } = gate();
    const registry = registryOf({ one: [url] });
    let handled = 0;
    const { port, router } = await listening({ registry }, (it) =>
      it
        .use(waits)
        .route('/composed', { compose: { a: 'one:/a' } })
        .route('/handled', {
          handle: () => {
            handled += 1;
            return new Response('ok');
          },
        }),
    );
    await leave(port, '/composed', () => count() === 1);
    await leave(port, '/handled', () => count() === 2);
    await until(() => router.active === 0, 'nothing under way');
    letGo();
    const after = router.fetch(new Request('http://a/handled'));
    await until(() => count() === 3, 'another request');
    letGo();
    expect((await after).status).toBe(200);
    expect([asked, handled]).toEqual([[], 1]);
  });

  it('by fetch, too, costs no call', async () => {
    const { url, asked } = await upstreamThatNeverEnds();
    const { waits, count, letGo } = gate();
    const router = new RequestRouter().use(waits).route('/*', { url });
    onCleanup(() => router.stop({ timeout: 0 }));
    const leaving = new AbortController();
    const answer = router.fetch(new Request('http://a/gone', { signal: leaving.signal }));
    await until(() => count() === 1, 'the guard to be asked');
    leaving.abort();
    await expect(answer).rejects.toThrow();
    expect(router.active).toBe(0);
    letGo();
    await new Promise(setImmediate);
    const after = router.fetch(new Request('http://a/after'));
    await until(() => count() === 2, 'another request');
    letGo();
    expect((await after).status).toBe(200);
    expect(asked).toEqual(['/after']);
  });

  it('costs none while the registry thinks either', async () => {
    const { url, asked } = await upstreamThatNeverEnds();
    const { waits, count, letGo } = gate();
    const plain = registryOf({ one: [url] });
    const registry = { pick: async (service: string) => waits().then(() => plain.pick(service)) };
    const { port, router } = await listening({ registry }, (it) =>
      it.route('/*', { service: 'one', policy: retry({ attempts: 2 }) }),
    );
    await leave(port, '/gone', () => count() === 1);
    await until(() => router.active === 0, 'nothing under way');
    letGo();
    await until(() => plain.outcomes.length === 1, 'the pick to be given back');
    expect([asked, plain.open, plain.outcomes[0]?.outcome]).toEqual([[], 0, 'cancelled']);
  });
});

describe('what a guard wants to be told at the end', () => {
  it('harms nobody when it throws', async () => {
    const told: number[] = [];
    const { port, finished } = await listening({}, (router) =>
      router
        .use((exchange) => {
          exchange.onFinished(() => {
            throw new Error('careless');
          });
          exchange.onFinished(({ status }) => told.push(status));
        })
        .route('/*', { handle: () => new Response('ok') }),
    );
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a']);
    expect(statusOf(answer)).toBe(200);
    await until(() => finished.length === 1, 'the end to be told');
    expect(told).toEqual([200]);
  });
});
