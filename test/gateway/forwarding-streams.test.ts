import { describe, expect, it } from 'vitest';
import {
  closeAfterEach,
  exchange,
  listening,
  pause,
  raw,
  registryOf,
  statusOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

describe('streams', () => {
  it('keeps case, order and duplicates of headers both ways', async () => {
    const { url } = await upstream((request, response) => {
      response
        .writeHead(200, ['X-Seen', request.rawHeaders.join('|'), 'Set-Cookie', 'a', 'set-cookie', 'b'])
        .end();
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'X-OnE: 1', 'x-one: 2', 'Accept: */*']);
    expect(answer).toContain('X-OnE|1|x-one|2|Accept|*/*');
    expect(answer).toContain('\r\nSet-Cookie: a\r\nset-cookie: b\r\n');
  });

  it('passes server-sent events on as they come', async () => {
    let send: ((text: string) => void) | undefined;
    const { url } = await upstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      send = (text) => void response.write(text);
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.text().includes('text/event-stream'), 'the headers');
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      send!(event);
      await until(() => client.text().includes(event), event);
    }
  });

  it('passes a chunked request on as it comes', async () => {
    let received = '';
    const { url } = await upstream((request, response) => {
      request.on('data', (chunk) => {
        received += chunk;
      });
      request.on('end', () => response.end('thanks'));
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
    await until(() => received === 'one');
    client.socket.write('3\r\ntwo\r\n0\r\n\r\n');
    await until(() => client.text().includes('thanks'));
    expect(received).toBe('onetwo');
  });

  it.each([
    ['before the headers', false],
    ['in the middle of the body', true],
  ])('rule 20: a client that goes away %s aborts the upstream', async (_name, begun) => {
    let aborted = 0;
    let arrived = 0;
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      if (begun) response.write('begin');
      response.on('close', () => {
        if (!response.writableFinished) aborted += 1;
      });
    });
    const registry = registryOf({ slow: [url] });
    const { port, finished, router } = await listening({ registry }, (it) =>
      it.route('/*', { service: 'slow' }),
    );
    const failures: unknown[] = [];
    router.on('upstreamFailed', (event) => failures.push(event));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => (begun ? client.text().includes('begin') : arrived === 1));
    client.socket.destroy();
    await until(() => aborted === 1 && finished.length === 1, 'the abort');
    expect(registry.outcomes).toEqual([{ id: 'slow-1', outcome: 'cancelled' }]);
    expect(finished[0]?.status).toBe(begun ? 200 : 499);
    expect(failures).toEqual([]);
  });

  it('rule 20: an abort of fetch, or of its body, aborts the upstream', async () => {
    let aborted = 0;
    const { url } = await upstream((request, response) => {
      if (request.url === '/body') response.write('begin');
      response.on('close', () => {
        aborted += 1;
      });
    });
    const { router } = await listening({}, (it) => it.route('/*', { url }));
    const controller = new AbortController();
    const pending = router.fetch(new Request('http://a/', { signal: controller.signal }));
    await until(() => router.active === 1);
    await pause(20);
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    await until(() => aborted === 1);
    const { body } = await router.fetch(new Request('http://a/body'));
    await body!.cancel();
    await until(() => aborted === 2 && router.active === 0);
  });

  it('refuses a body over the limit, announced or not', async () => {
    const { url } = await upstream((request, response) =>
      request.resume().on('end', () => response.end('ok')),
    );
    const { port } = await listening({ limits: { body: 100_000 } }, (router) => router.route('/*', { url }));
    const announced = await exchange(port, ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 100001']);
    expect(statusOf(announced)).toBe(413);
    const piece = `8000\r\n${'x'.repeat(32_768)}\r\n`;
    const chunked = await exchange(
      port,
      ['POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'],
      piece.repeat(8),
    );
    expect(statusOf(chunked)).toBe(413);
  });
});
