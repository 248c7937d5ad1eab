import { constants } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { ask, connected, http2Upstream } from './http2-stage.ts';
import { frameTypes, getOf, goAway, opening } from './rules/smuggling-http2.ts';
import { closeAfterEach, raw, rawUpstream, registryOf, until, upstream } from './support.ts';

closeAfterEach();

describe('HTTP/2 in, HTTP/1.1 out', () => {
  it('answers many streams of one connection, each with its own answer', async () => {
    const { url } = await upstream((request, response) => response.end(`${request.method} ${request.url}`));
    const { client } = await connected((router) => router.route('/*', { url }));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, turn) => ask(client, { ':path': `/${turn}?q=${turn}` })),
    );
    expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 50 }, (_, n) => `GET /${n}?q=${n}`));
  });

  it('rule 6: the authority is the Host, crumbs of cookies are joined, and nothing of HTTP/2 goes on', async () => {
    const { url } = await upstream((request, response) => response.end(JSON.stringify(request.headers)));
    const { client } = await connected((router) => router.route('/*', { url, preserveHost: true }));
    const { body } = await ask(client, {
      ':path': '/',
      ':authority': 'shop.example',
      cookie: ['a=1', 'b=2'],
      te: 'trailers',
    });
    const headers = JSON.parse(body);
    expect(headers).toMatchObject({ host: 'shop.example', cookie: 'a=1; b=2', te: 'trailers' });
    expect(Object.keys(headers).filter((name) => name.startsWith(':'))).toEqual([]);
  });

  it('rule 6: two different hosts are refused', async () => {
    const { client } = await connected((router) => router.route('/*', { url: 'http://127.0.0.1:1' }));
    const answer = await ask(client, { ':path': '/', ':authority': 'a.example', host: 'b.example' });
    expect(answer.status).toBe(400);
  });

  it.each(['short', 'x'.repeat(300_000)])('passes bodies on, both ways', async (text) => {
    const { url } = await upstream((request, response) => request.pipe(response));
    const { client } = await connected((router) => router.route('/*', { url }));
    const answer = await ask(client, { ':path': '/', ':method': 'POST' }, text);
    expect([answer.status, answer.body.length, answer.code]).toEqual([200, text.length, 0]);
  });

  it('rule 11: passes trailers of a chunked answer on, and 103 before it', async () => {
    const { url } = await upstream((_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      response.writeHead(200, { trailer: 'x-sum' });
      response.write('body');
      response.addTrailers({ 'x-sum': '7' });
      response.end();
    });
    const { client } = await connected((router) => router.route('/*', { url }));
    const answer = await ask(client, { ':path': '/' });
    expect(answer).toMatchObject({ status: 200, body: 'body', trailers: { 'x-sum': '7' } });
    expect(answer.hints).toMatchObject([{ ':status': 103, link: '</a.css>; rel=preload' }]);
    expect(answer.headers).not.toHaveProperty('transfer-encoding');
  });

  it('rule 8: a truncated answer resets the stream, and others live on', async () => {
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'));
    });
    const { url: good } = await upstream((_request, response) => response.end('good'));
    const { client } = await connected((router) =>
      router.route('/bad', { url }).route('/good', { url: good }),
    );
    const cut = await ask(client, { ':path': '/bad' });
    expect([cut.status, cut.code]).toEqual([200, constants.NGHTTP2_INTERNAL_ERROR]);
    expect((await ask(client, { ':path': '/good' })).body).toBe('good');
  });

  it('rule 20: a stream that the client resets aborts the upstream', async () => {
    let [arrived, aborted] = [0, 0];
    const { url } = await upstream((_request, response) => {
      arrived += 1;
      response.on('close', () => {
        aborted += 1;
      });
    });
    const registry = registryOf({ slow: [url] });
    const { client } = await connected((router) => router.route('/*', { service: 'slow' }), { registry });
    const stream = client.request({ ':path': '/' });
    await until(() => arrived === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => aborted === 1);
    await until(() => registry.outcomes.length === 1);
    expect(registry.outcomes[0]?.outcome).toBe('cancelled');
  });

  it('rule 10: Expect is answered 100 only when the body is wanted', async () => {
    const { url } = await upstream((request, response) => request.pipe(response));
    const { client } = await connected((router) =>
      router
        .route('/yes', { url })
        .route('/no', { guards: [() => new Response(null, { status: 401 })], url }),
    );
    const expecting = (path: string) =>
      ask(client, { ':path': path, ':method': 'PUT', expect: '100-continue' }, 'x');
    const [yes, no] = [await expecting('/yes'), await expecting('/no')];
    expect([yes.status, yes.body, yes.hints.map((hint) => hint[':status'])]).toEqual([200, 'x', [100]]);
    expect([no.status, no.hints]).toEqual([401, []]);
  });

  it('speaks HTTP/1.1 on the same port', async () => {
    const { url } = await upstream((_request, response) => response.end('old'));
    const { url: router } = await connected((it) => it.route('/*', { url }));
    expect(await (await fetch(router)).text()).toBe('old');
  });

  it('a stop says goodbye when its grace begins, not ready first, and serves what is sent all the same', async () => {
    const { clock } = testRuntime();
    const { client, router, url } = await connected(
      (it) => it.route('/*', { handle: () => new Response('served') }),
      {
        runtime: { clock },
        health: true,
      },
    );
    const told: { ready?: number; goodbyes: number } = { goodbyes: 0 };
    expect((await ask(client, { ':path': '/' })).status).toBe(200);
    client.on('goaway', () => {
      told.goodbyes += 1;
    });
    const other = raw(Number(new URL(url).port), opening.toString('latin1'));
    const stopped = router.stop({ grace: 1_000 });
    await until(() => told.goodbyes === 1);
    expect(router.active).toBe(0);
    told.ready = (await fetch(`${url}/readyz`)).status;
    expect(told.ready).toBe(503);
    // A client that has not read it yet, and one that comes only now.
    other.socket.write(getOf(1));
    const late = raw(Number(new URL(url).port), Buffer.concat([opening, getOf(1)]).toString('latin1'));
    for (const { text } of [other, late]) {
      await until(
        () => frameTypes(Buffer.from(text(), 'latin1')).includes(goAway) && text().includes('served'),
      );
    }
    clock.advance(1_000);
    expect(await stopped).toBe(true);
  });

  it('a stop sends GOAWAY, and lets what is under way end', async () => {
    let answer: (() => void) | undefined;
    const { url } = await upstream((_request, response) => {
      answer = () => response.end('late');
    });
    const { client, router } = await connected((it) => it.route('/*', { url }));
    const pending = ask(client, { ':path': '/' });
    await until(() => answer !== undefined);
    let gone = false;
    client.on('goaway', () => {
      gone = true;
    });
    const stopped = router.stop();
    await until(() => gone);
    answer?.();
    expect(await pending).toMatchObject({ status: 200, body: 'late' });
    await stopped;
    await until(() => client.closed || client.destroyed);
  });
});

describe('rule 13: Via tells the version in which a message was received', () => {
  it.each(['1.0', '1.1', '2.0'])('a request over HTTP/%s', async (version) => {
    const { url } = await upstream((request, response) => response.end(request.headers.via));
    const { client, url: router } = await connected((it) => it.route('/*', { url }));
    const { port } = new URL(router);
    const answer =
      version === '2.0'
        ? (await ask(client, { ':path': '/' })).body
        : await raw(Number(port), `GET / HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`).closed;
    expect(answer).toMatch(new RegExp(`(?:^|\n)${version.replace('.', '\\.')} router-\\w+$`));
  });

  it('an answer of either version', async () => {
    const one = await upstream((_request, response) => response.end());
    const two = await http2Upstream((stream) => {
      stream.respond({ ':status': 200, via: '1.1 inner' });
      stream.end();
    });
    const { client } = await connected((it) =>
      it.route('/one', { url: one.url }).route('/two', { url: two.url, http2: true }),
    );
    const answers = [await ask(client, { ':path': '/one' }), await ask(client, { ':path': '/two' })];
    expect(answers.map(({ headers }) => headers.via)).toEqual([
      expect.stringMatching(/^1\.1 router-\w+$/),
      expect.stringMatching(/^1\.1 inner, 2\.0 router-\w+$/),
    ]);
  });

  it('a request that came through this router by HTTP/2 is a loop', async () => {
    let own = '';
    const { url } = await upstream((request, response) => {
      own = request.headers.via ?? '';
      response.end();
    });
    const { client } = await connected((it) => it.route('/*', { url }));
    await ask(client, { ':path': '/' });
    expect((await ask(client, { ':path': '/', via: own })).status).toBe(508);
  });
});

describe('HTTP/2 out', () => {
  it('rule 11: passes trailers both ways, and bodies', async () => {
    const { url } = await http2Upstream((stream) => {
      let sum = '';
      stream.on('trailers', (trailers) => {
        sum = String(trailers['x-in']);
      });
      stream.respond({ ':status': 200, 'x-a': '1' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-out': sum }));
      stream.pipe(stream);
    });
    const { client } = await connected((router) => router.route('/*', { url, http2: true }));
    const answer = await ask(client, { ':path': '/', ':method': 'POST' }, 'body', {
      'x-in': '9',
      authorization: 'no',
    });
    expect(answer).toMatchObject({ status: 200, body: 'body', trailers: { 'x-out': '9' } });
  });

  it('serves HTTP/1.1 clients from it', async () => {
    const { url } = await http2Upstream((stream, headers) => {
      stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] });
      stream.end(`${headers[':method']} ${headers[':path']} ${headers[':scheme']}`);
    });
    const { url: router } = await connected((it) => it.route('/*', { url, http2: true }));
    const response = await fetch(`${router}/x?y`);
    expect([await response.text(), response.headers.getSetCookie()]).toEqual([
      'GET /x?y http',
      ['a=1', 'b=2'],
    ]);
  });

  it('rule 8: a reset in the middle of an answer breaks it off', async () => {
    const { url } = await http2Upstream((stream) => {
      // Otherwise Node ends the stream before it resets it.
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.write('half', () => stream.close(constants.NGHTTP2_CANCEL));
    });
    const { url: router } = await connected((it) => it.route('/*', { url, http2: true }));
    await expect(fetch(router).then((response) => response.text())).rejects.toThrow();
  });

  it('rule 19: a refused stream is made again, a POST too', async () => {
    let streams = 0;
    const { url } = await http2Upstream((stream) => {
      streams += 1;
      if (streams <= 2) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      }
    });
    const { client } = await connected((router) => router.route('/*', { url, http2: true }));
    const post = { ':path': '/', ':method': 'POST', 'content-length': '5' };
    expect(await ask(client, post, 'third')).toMatchObject({ status: 200, body: 'third' });
  });

  it('rule 19: a refused stream that has had some of a body that streams is not made again', async () => {
    let streams = 0;
    const { url } = await http2Upstream((stream) => {
      streams += 1;
      if (streams > 1) stream.respond({ ':status': 200 }, { endStream: true });
      else stream.once('data', () => stream.close(constants.NGHTTP2_REFUSED_STREAM));
    });
    const { client } = await connected((router) => router.route('/*', { url, http2: true }));
    const answer = await ask(client, { ':path': '/', ':method': 'POST' }, 'x'.repeat(100_000));
    expect([answer.status, streams]).toEqual([502, 1]);
  });

  it('any other reset of a POST is not', async () => {
    let streams = 0;
    const { url } = await http2Upstream((stream) => {
      streams += 1;
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    const { client } = await connected((router) => router.route('/*', { url, http2: true }));
    const answer = await ask(client, { ':path': '/', ':method': 'POST' }, 'x');
    expect([answer.status, streams]).toEqual([502, 1]);
  });

  it('after a GOAWAY it connects anew, and no request fails', async () => {
    let sessions = 0;
    const { url, server } = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 });
      stream.end('fine');
      stream.session?.close();
    });
    server.on('session', () => {
      sessions += 1;
    });
    const { client } = await connected((router) => router.route('/*', { url, http2: true }));
    for (let turn = 0; turn < 10; turn += 1) {
      expect(await ask(client, { ':path': '/' })).toMatchObject({ status: 200, body: 'fine' });
    }
    expect(sessions).toBeGreaterThan(1);
  });

  it('an upstream that refuses connections is 502, one that is silent 504', async () => {
    const { url: silent } = await http2Upstream(() => {});
    const { client } = await connected((router) =>
      router
        .route('/refused', { url: 'http://127.0.0.1:1', http2: true })
        .route('/silent', { url: silent, http2: true, timeouts: { firstByte: 50 } }),
    );
    expect((await ask(client, { ':path': '/refused' })).status).toBe(502);
    expect((await ask(client, { ':path': '/silent' })).status).toBe(504);
  });
});
