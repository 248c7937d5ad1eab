import { describe, expect, it } from 'vitest';
import { http2Upstream } from './http2-stage.ts';
import { closeAfterEach, listening, raw, rawUpstream, registryOf, until, upstream } from './support.ts';

closeAfterEach();

const chunked = (path: string, ...fields: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked', ...fields, '', ''].join('\r\n');

interface Got {
  readonly body: string;
  readonly fields: Record<string, string>;
  readonly trailers: string[];
}

async function trailed(status = 200): Promise<{ url: string; got: Got[] }> {
  const got: Got[] = [];
  const { url } = await upstream((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const fields = Object.fromEntries(Object.entries(request.headers)) as Record<string, string>;
      got.push({ body, fields, trailers: request.rawTrailers });
      response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
        response.writeHead(status, { 'X-CaSe': 'kept', trailer: 'x-end' });
        response.write('part ');
        response.addTrailers({ 'x-end': 'whole' });
        response.end('done');
      });
    });
  });
  return { url, got };
}

describe('trailers of requests, to an upstream by HTTP/1.1', () => {
  it('rule 11: those that were announced go on behind the body, without what may not come so late', async () => {
    const { url, got } = await trailed();
    const { port } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, chunked('/up?q=1', 'Trailer: X-Check, Host', 'TE: trailers', 'X-Own: 1'));
    client.socket.write('5\r\nhello\r\n');
    await until(() => client.socket.bytesWritten > 0);
    client.socket.write('1\r\n!\r\n0\r\nX-Check: sum\r\nX-Check: twice\r\nHost: evil\r\n\r\n');
    await until(() => client.text().includes('x-end: whole'));
    expect(got).toMatchObject([
      {
        body: 'hello!',
        trailers: ['X-Check', 'sum', 'X-Check', 'twice'],
        fields: { trailer: 'X-Check', 'transfer-encoding': 'chunked', 'x-own': '1', te: 'trailers' },
      },
    ]);
    expect(got[0]!.fields['x-forwarded-for']).toBe('127.0.0.1');
    expect(client.text()).toMatch(
      /^HTTP\/1\.1 103[\s\S]*rel=preload[\s\S]*HTTP\/1\.1 200[\s\S]*X-CaSe: kept[\s\S]*x-end: whole/,
    );
    expect(client.text()).not.toContain('Connection: close');
  });

  it('probe 12: none says who asks, where from, or what the head says, by either version of HTTP', async () => {
    const { url, got } = await trailed();
    const http2: unknown[] = [];
    const { url: second } = await http2Upstream((stream) => {
      stream.on('trailers', (trailers) => http2.push(...Object.entries(trailers)));
      stream.resume().on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end();
      });
    });
    const { port, finished } = await listening({ identityHeaders: ['x-user'] }, (it) =>
      it
        .use(({ headers }) => headers.set('X-Tenant', 'mine'))
        .route('/one', { url })
        .route('/two', { url: second, http2: true }),
    );
    const lies = [
      'X-User',
      'x_user',
      'X_Tenant',
      'X-Forwarded-For',
      'X_Forwarded_Proto',
      'X-Request-Timeout',
      'Via',
    ];
    for (const path of ['/one', '/two']) {
      const sent = [...lies, 'X-True'].map((name) => `${name}: lie`).join('\r\n');
      raw(port, `${chunked(path, `Trailer: ${lies.join(', ')}, X-True`)}2\r\nhi\r\n0\r\n${sent}\r\n\r\n`);
    }
    await until(() => finished.length === 2);
    expect([got[0]!.fields.trailer, got[0]!.trailers]).toEqual(['X-True', ['X-True', 'lie']]);
    expect(http2).toEqual([['x-true', 'lie']]);
  });

  it('the connection of the client serves the next request, and the upstream is told its own host', async () => {
    const { url, got } = await trailed();
    const { port, finished } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, `${chunked('/a', 'Trailer: X-A')}0\r\nX-A: 1\r\n\r\n`);
    await until(() => finished.length === 1);
    client.socket.write(`${chunked('/b', 'Trailer: X-B')}0\r\nX-B: 2\r\n\r\n`);
    await until(() => finished.length === 2);
    expect(got.map(({ trailers }) => trailers)).toEqual([
      ['X-A', '1'],
      ['X-B', '2'],
    ]);
    expect(got[0]!.fields.host).toBe(new URL(url).host);
  });

  it('an upstream that refuses, breaks off, or answers oddly is 502, and counts', async () => {
    const cut = await rawUpstream((socket) => socket.once('data', () => socket.destroy()));
    const odd = await rawUpstream((socket) =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'),
      ),
    );
    const registry = registryOf({ dead: ['http://127.0.0.1:1'], cut: [cut.url], odd: [odd.url] });
    const { port, router } = await listening({ registry }, (it) =>
      it
        .route('/dead', { service: 'dead' })
        .route('/cut', { service: 'cut' })
        .route('/odd', { service: 'odd' }),
    );
    for (const path of ['/dead', '/cut', '/odd']) {
      const client = raw(port, `${chunked(path, 'Trailer: X-A')}0\r\nX-A: 1\r\n\r\n`);
      await until(() => client.text().startsWith('HTTP/1.1 502'));
    }
    await until(() => router.active === 0 && registry.open === 0);
    expect(registry.outcomes.map(({ outcome }) => outcome)).toEqual(['failure', 'failure', 'failure']);
    expect(registry.repeated).toBe(0);
  });

  it('an answer that is cut off is cut off for the client', async () => {
    const { url } = await rawUpstream((socket) =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort', () => socket.end()),
      ),
    );
    const { port } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, `${chunked('/', 'Trailer: X-A')}0\r\nX-A: 1\r\n\r\n`);
    expect(await client.closed).toMatch(/Content-Length: 10[\s\S]*short$/);
  });

  it('an answer before the body is over is the answer, and the rest of the body is not wanted', async () => {
    const early = await upstream((request, response) => {
      response.writeHead(413, { connection: 'close' }).end('too much');
      request.on('error', () => {});
    });
    const { port, router } = await listening({}, (it) => it.route('/*', { url: early.url }));
    const client = raw(port, `${chunked('/', 'Trailer: X-A')}5\r\nhello\r\n`);
    await until(() => client.text().includes('too much'));
    client.socket.write('0\r\nX-A: 1\r\n\r\n');
    await until(() => router.active === 0);
  });

  it('rule 20: a client that leaves has its call aborted', async () => {
    const state = { begun: 0, closed: 0 };
    const slow = await upstream((request, _response) => {
      state.begun += 1;
      request.socket.once('close', () => {
        state.closed += 1;
      });
    });
    const { port, finished } = await listening({}, (it) => it.route('/*', { url: slow.url }));
    const client = raw(port, `${chunked('/', 'Trailer: X-A')}5\r\nhello\r\n`);
    await until(() => state.begun === 1);
    client.socket.destroy();
    await until(() => state.closed === 1 && finished.length === 1);
    expect(finished[0]).toMatchObject({ status: 499, aborted: true });
  });

  it('an upstream that is silent is 504', async () => {
    const silent = await rawUpstream(() => {});
    const { port } = await listening({}, (it) =>
      it.route('/*', { url: silent.url, timeouts: { firstByte: 100 } }),
    );
    const client = raw(port, `${chunked('/', 'Trailer: X-A')}0\r\nX-A: 1\r\n\r\n`);
    await until(() => client.text().startsWith('HTTP/1.1 504'));
  });

  it('without an announcement, or with none that may go on, nothing is different', async () => {
    const { url, got } = await trailed();
    const { port, finished } = await listening({}, (it) => it.route('/*', { url }));
    raw(port, `${chunked('/a')}1\r\nx\r\n0\r\nX-A: 1\r\n\r\n`);
    raw(port, `${chunked('/b', 'Trailer: Content-Length')}1\r\nx\r\n0\r\nX-A: 1\r\n\r\n`);
    await until(() => finished.length === 2);
    expect(got.map(({ trailers, fields }) => [trailers, fields.trailer])).toEqual([
      [[], undefined],
      [[], undefined],
    ]);
  });
});
