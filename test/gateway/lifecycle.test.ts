import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { NotRunningError } from '../../src/core/errors.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, listening, onCleanup, raw, statusOf, until, upstream } from './support.ts';

closeAfterEach();

describe('the life of a router', () => {
  it('stop lets what is under way end, takes nothing new, and closes connections', async () => {
    let finish = (): void => {};
    let arrived = 0;
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      finish = () => response.end('done');
    });
    const { port, router } = await listening({}, (it) => it.route('/*', { url }));
    const idle = raw(port, '');
    const busy = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => arrived === 1);
    const drained: boolean[] = [];
    router.on('stopped', (event) => drained.push(event.drained));
    const stopping = router.stop({ timeout: '5s' });
    expect(router.stop()).toBe(stopping);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
    finish();
    const answer = await busy.closed;
    expect(answer).toContain('Connection: close');
    expect(answer).toContain('done');
    await stopping;
    await idle.closed;
    expect(drained).toEqual([true]);
    await expect(router.listen({ port: 0 })).rejects.toBeInstanceOf(NotRunningError);
  });

  it('stop breaks off what does not end in time', async () => {
    let aborted = 0;
    let arrived = 0;
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      response.write('begin');
      response.on('close', () => {
        aborted += 1;
      });
    });
    const { port, router } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => arrived === 1 && client.text().includes('begin'));
    const drained: boolean[] = [];
    router.on('stopped', (event) => drained.push(event.drained));
    await router.stop({ timeout: 20 });
    expect(await client.closed).not.toMatch(/0\r\n\r\n$/);
    await until(() => aborted === 1);
    expect(drained).toEqual([false]);
  });

  it('a stop before anything happened is quick, and a disposal is a stop', async () => {
    const router = new RequestRouter();
    await router[Symbol.asyncDispose]();
    await router.stop();
  });

  it('tells when an address cannot be had, and may listen elsewhere', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onCleanup(() => taken.close());
    const router = new RequestRouter().route('/', { handle: () => new Response('here') });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { port } = taken.address() as AddressInfo;
    await expect(router.listen({ port, host: '127.0.0.1' })).rejects.toThrow('EADDRINUSE');
    const one = await router.listen({ port: 0, host: '127.0.0.1' });
    const two = await router.listen({ port: 0, host: '127.0.0.1' });
    expect(await (await fetch(one.url)).text()).toBe('here');
    expect(await (await fetch(two.url)).text()).toBe('here');
  });

  it('tells what happened: listeners and telemetry alike', async () => {
    const runtime = testRuntime();
    const router = new RequestRouter({ name: 'front', runtime }).route('GET /a/:id', {
      handle: (it) => new Response('hello', { headers: { 'x-id': it.id } }),
    });
    const refused: object[] = [];
    router.on('refused', (event) => refused.push(event));
    const response = await router.fetch(
      new Request('http://Shop/a/1?q', { headers: { 'x-request-id': 'r1' } }),
    );
    expect(await response.text()).toBe('hello');
    await router.fetch(new Request('http://shop/b'));
    expect(refused).toEqual([
      { method: 'GET', path: '/b', route: undefined, status: 404, reason: 'no route leads here' },
    ]);
    const finished = runtime.events.filter(({ type }) => type === 'finished');
    expect(finished[0]).toMatchObject({
      primitive: 'request-router',
      name: 'front',
      payload: { method: 'GET', path: '/a/1', host: 'shop', status: 200, bytes: 5, requestId: 'r1' },
    });
    expect(finished[0]?.payload).toMatchObject({ route: 'GET /a/:id' });
  });

  it('rule 23: refuses a head that is too long', async () => {
    const { port } = await listening({ limits: { headerBytes: 2_048 } }, (it) =>
      it.route('/', { handle: () => new Response('ok') }),
    );
    const answer = await raw(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(4_000)}\r\n\r\n`).closed;
    expect(statusOf(answer)).toBe(431);
  });

  it('a request on a connection that was idle when the stop began is answered', async () => {
    let finish = (): void => {};
    let arrived = 0;
    const { url } = await upstream((request, response) => {
      arrived += 1;
      if (request.url === '/slow') finish = () => response.end('slow');
      else response.end('quick');
    });
    const { port, router } = await listening({}, (it) => it.route('/*', { url }));
    const idle = raw(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => idle.text().endsWith('quick'));
    const busy = raw(port, 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => arrived === 2);
    const stopping = router.stop({ timeout: '5s' });
    idle.socket.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await idle.closed).match(/quick/g)).toHaveLength(2);
    finish();
    expect(await busy.closed).toContain('slow');
    await stopping;
    expect(router.active).toBe(0);
  });

  it('a request that was sent before the stop is answered, though nothing had read it yet', async () => {
    const { port, router } = await listening({}, (it) =>
      it.route('/*', { handle: () => new Response('here') }),
    );
    const first = raw(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => first.text().includes('here') && router.active === 0);
    first.socket.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    await router.stop();
    expect((await first.closed).match(/here/g)).toHaveLength(2);
  });

  it('a stop while a name to listen on is looked up ends the listening', async () => {
    const router = new RequestRouter();
    const listen = router.listen({ port: 0, host: 'localhost' });
    await Promise.all([expect(listen).rejects.toBeInstanceOf(NotRunningError), router.stop()]);
  });

  it('a request whose client left before the router saw it is not served', async () => {
    let arrived = 0;
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      response.end();
    });
    const router = new RequestRouter().route('/*', { url });
    onCleanup(() => router.stop({ timeout: 0 }));
    const request = new Request('http://a/', { signal: AbortSignal.abort() });
    await expect(router.fetch(request)).rejects.toThrow();
    expect((await router.fetch(new Request('http://a/'))).status).toBe(200);
    expect([arrived, router.active]).toEqual([1, 0]);
  });
});
