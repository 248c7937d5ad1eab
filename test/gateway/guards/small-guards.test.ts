import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import type { Exchange, Guard } from '../../../src/gateway/exchange/exchange.ts';
import { type FaultOptions, injectFaults } from '../../../src/gateway/guards/inject-faults.ts';
import { limitSize, type SizeLimits } from '../../../src/gateway/guards/limit-size.ts';
import { type RequestIdOptions, requestId } from '../../../src/gateway/guards/request-id.ts';
import {
  type SecurityHeadersOptions,
  securityHeaders,
} from '../../../src/gateway/guards/security-headers.ts';
import { parseTraceParent, traceContext } from '../../../src/gateway/guards/trace-context.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import type { ManualClock } from '../../../src/testing/manual-clock.ts';
import { testRuntime } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, exchange, listening, raw, statusOf, until, upstream } from '../support.ts';

closeAfterEach();

/** What a guard let through, and what came back. */
async function through(
  guard: Guard,
  request: Request,
  options: { readonly trusted?: boolean; readonly clientAddress?: string } = {},
): Promise<{ response: Response; seen: Exchange | undefined }> {
  let seen: Exchange | undefined;
  const router = new RequestRouter(options.trusted ? { trustedProxies: ['127.0.0.1'] } : {})
    .use(guard)
    .route('/*', {
      handle: (it) => {
        seen = it;
        return new Response('ok');
      },
    });
  const response = await router.fetch(request, { clientAddress: '127.0.0.1' });
  return { response, seen };
}

const ask = (headers: Record<string, string> = {}, url = 'http://shop/'): Request =>
  new Request(url, { headers });

describe('limitSize', () => {
  it.each<[string, SizeLimits, Request, number]>([
    [
      'a body',
      { body: 4 },
      new Request('http://a/', { method: 'POST', body: 'hello', headers: { 'content-length': '5' } }),
      413,
    ],
    ['many fields', { headers: 3 }, ask({ a: '1', b: '2', c: '3' }), 431],
    ['long fields', { headerBytes: 100 }, ask({ a: 'x'.repeat(100) }), 431],
    ['a path', { path: 5 }, ask({}, 'http://a/123456'), 414],
    ['a query', { query: 5 }, ask({}, 'http://a/?123456'), 414],
  ])('refuses %s over the limit, and nothing below', async (_what, limits, request, status) => {
    expect((await through(limitSize(limits), request)).response.status).toBe(status);
    expect((await through(limitSize(limits), ask())).response.status).toBe(200);
  });

  it('cuts off a body of unknown length, read by a guard or forwarded', async () => {
    const whole: boolean[] = [];
    const { url } = await upstream((request, response) => {
      request.resume().on('error', () => {});
      request.on('close', () => whole.push(request.complete));
      request.on('end', () => response.end());
    });
    const { port } = await listening({}, (router) =>
      router
        .use(limitSize({ body: 1_000 }))
        .route('/read', { url, guards: [async (it) => void (await it.readBody())] })
        .route('/*', { url }),
    );
    const send = (path: string, bytes: number): Promise<string> =>
      exchange(
        port,
        [`POST ${path} HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked'],
        `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n0\r\n\r\n`,
      );
    for (const path of ['/read', '/stream']) {
      expect(statusOf(await send(path, 1_001))).toBe(413);
      expect(statusOf(await send(path, 1_000))).toBe(200);
    }
    expect(whole.filter(Boolean)).toHaveLength(2);
  });
});

describe('requestId', () => {
  const given = ask({ 'x-request-id': 'from-client' });

  it.each<[string, RequestIdOptions, boolean, boolean]>([
    ['a stranger', {}, false, false],
    ['a trusted proxy', {}, true, true],
    ['anyone, if told so', { accept: 'always' }, false, true],
    ['nobody, if told so', { accept: 'never' }, true, false],
  ])('of %s', async (_who, options, trusted, kept) => {
    const { response, seen } = await through(
      requestId({ ...options, runtime: testRuntime() }),
      given.clone(),
      { trusted },
    );
    const expected = kept ? 'from-client' : 'id-1';
    expect([seen?.headers.get('x-request-id'), response.headers.get('x-request-id')]).toEqual([
      expected,
      expected,
    ]);
  });

  it.each(['a b', 'x'.repeat(129), 'a,b', '"}{"', 'ü'])('does not take %j for an id', async (id) => {
    const { seen } = await through(
      requestId({ accept: 'always', runtime: testRuntime() }),
      ask({ 'x-request-id': id }),
    );
    expect(seen?.headers.get('x-request-id')).toBe('id-1');
  });

  it('makes one of two, and takes other names and makers', async () => {
    const { port } = await listening({}, (router) =>
      router
        .use(requestId({ accept: 'always', header: 'X-Trace', generate: () => 'made', respond: false }))
        .route('/*', { handle: (it) => new Response(it.headers.getAll('x-trace').join()) }),
    );
    const answer = await exchange(port, ['GET / HTTP/1.1', 'Host: a', 'X-Trace: a', 'X-Trace: b']);
    expect(answer).toContain('made');
    expect(answer).not.toMatch(/^x-trace/im);
  });
});

describe('traceContext', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  const parent = `00-${id}-00f067aa0ba902b7-01`;

  it.each([
    ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true],
    ['cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true],
    ['cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more', true],
    ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more', false],
    ['cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more', false],
    ['ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', false],
    ['00-00000000000000000000000000000000-00f067aa0ba902b7-01', false],
    ['00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', false],
    ['00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', false],
    ['00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01', false],
    ['', false],
  ])('reads %j: %s', (value, valid) => {
    expect(parseTraceParent(value) !== undefined).toBe(valid);
  });

  it('continues a trace of a trusted proxy, with an id of its own and the state as it is', async () => {
    const state = 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7';
    const request = ask({ traceparent: parent, tracestate: state, baggage: 'a=b' });
    const { seen } = await through(traceContext({ runtime: testRuntime() }), request, { trusted: true });
    const made = parseTraceParent(seen?.headers.get('traceparent') ?? '');
    expect([made?.traceId, made?.flags]).toEqual([id, '01']);
    expect(made?.parentId).not.toBe('00f067aa0ba902b7');
    expect([seen?.headers.get('tracestate'), seen?.headers.get('baggage')]).toEqual([state, 'a=b']);
  });

  it('begins a new one for a stranger, and drops what he says beside', async () => {
    const request = ask({ traceparent: parent, tracestate: 'a=b', baggage: 'a=b' });
    const { seen } = await through(traceContext({ runtime: testRuntime(), sample: 0 }), request);
    const made = parseTraceParent(seen?.headers.get('traceparent') ?? '');
    expect([made?.traceId === id, made?.flags]).toEqual([false, '00']);
    expect([seen?.headers.has('tracestate'), seen?.headers.has('baggage')]).toEqual([false, false]);
  });

  it.each(['a=b,a=c', 'A=b', Array.from({ length: 33 }, (_, index) => `k${index}=v`).join(), 'nothing'])(
    'drops a state that is none: %j',
    async (tracestate) => {
      const { seen } = await through(
        traceContext({ accept: 'always' }),
        ask({ traceparent: parent, tracestate }),
      );
      expect([seen?.headers.get('traceparent')?.includes(id), seen?.headers.has('tracestate')]).toEqual([
        true,
        false,
      ]);
    },
  );
});

describe('securityHeaders', () => {
  const told = { headers: { 'X-Frame-Options': 'SAMEORIGIN', Server: 'secret/1.0', 'X-Powered-By': 'x' } };

  async function get(options: SecurityHeadersOptions, url = 'https://shop/'): Promise<Headers> {
    const router = new RequestRouter()
      .use(securityHeaders(options))
      .route('/*', { handle: () => new Response('x', told) });
    return (await router.fetch(new Request(url))).headers;
  }

  it('adds what is missing, leaves what an upstream says, and hides what it is made of', async () => {
    const headers = await get({});
    expect(Object.fromEntries(headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'strict-origin-when-cross-origin',
      'content-security-policy': "frame-ancestors 'none'",
      'cross-origin-opener-policy': 'same-origin',
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
    });
    expect([headers.has('server'), headers.has('x-powered-by')]).toEqual([false, false]);
  });

  it('does as it is told', async () => {
    const headers = await get({
      override: true,
      noSniff: false,
      contentPolicy: false,
      permissions: 'geolocation=()',
      remove: [],
      strictTransport: { maxAge: '1h', includeSubDomains: false, preload: true },
    });
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect([headers.has('x-content-type-options'), headers.has('content-security-policy')]).toEqual([
      false,
      false,
    ]);
    expect([headers.get('permissions-policy'), headers.get('server')]).toEqual([
      'geolocation=()',
      'secret/1.0',
    ]);
    expect(headers.get('strict-transport-security')).toBe('max-age=3600; preload');
  });

  it('asks for HTTPS over HTTPS only, and protects refusals too', async () => {
    expect((await get({}, 'http://shop/')).has('strict-transport-security')).toBe(false);
    const router = new RequestRouter().use(securityHeaders()).route('/*', {
      guards: [() => new Response(null, { status: 401 })],
      handle: () => new Response(),
    });
    const refused = await router.fetch(ask());
    expect([refused.status, refused.headers.get('x-content-type-options')]).toEqual([401, 'nosniff']);
  });
});

describe('injectFaults', () => {
  const always: FaultOptions = { abort: { status: 418, percentage: 100 } };

  it('does nothing unless it is enabled, nor where it does not apply', async () => {
    expect((await through(injectFaults(always), ask())).response.status).toBe(200);
    const switchable = { on: false };
    const guard = injectFaults({ ...always, enabled: () => switchable.on, when: ({ path }) => path === '/' });
    expect((await through(guard, ask())).response.status).toBe(200);
    switchable.on = true;
    expect((await through(guard, ask())).response.status).toBe(418);
    expect((await through(guard, ask({}, 'http://a/other'))).response.status).toBe(200);
  });

  it('hits about the share that it is told', async () => {
    const guard = injectFaults({
      enabled: true,
      abort: { percentage: 30 },
      runtime: testRuntime({ seed: 7 }),
    });
    let hits = 0;
    for (let index = 0; index < 1_000; index += 1) {
      if ((await through(guard, ask())).response.status === 503) hits += 1;
    }
    expect(hits).toBeGreaterThan(250);
    expect(hits).toBeLessThan(350);
  });

  it('delays, and gives up when the client does', async () => {
    const runtime = testRuntime();
    const clock = runtime.clock as ManualClock;
    const guard = injectFaults({
      enabled: true,
      delay: { duration: ['1s', '3s'], percentage: 100 },
      runtime,
    });
    let done = false;
    const asking = through(guard, ask()).then(() => {
      done = true;
    });
    await clock.advance(999);
    expect(done).toBe(false);
    await clock.advance(2_001);
    await asking;
    const leaving = new AbortController();
    const left = through(guard, new Request('http://a/', { signal: leaving.signal }));
    leaving.abort();
    await expect(left).rejects.toThrow();
    expect(clock.pending).toBe(0);
  });

  it('breaks off the connection', async () => {
    const guard = injectFaults({ enabled: true, abort: { status: 'reset', percentage: 100 } });
    const { port, router, finished } = await listening({}, (it) =>
      it.use(guard).route('/*', { handle: () => new Response() }),
    );
    expect(await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n').closed).toBe('');
    await until(() => finished.length === 1);
    expect([finished[0]?.status, router.active]).toEqual([499, 0]);
  });
});

it.each<[string, () => unknown]>([
  ['limitSize', () => limitSize({ body: -1 })],
  ['limitSize, unknown', () => limitSize({ bytes: 1 } as SizeLimits)],
  ['requestId', () => requestId({ header: 'a b' })],
  ['traceContext', () => traceContext({ sample: Number.NaN })],
  ['securityHeaders', () => securityHeaders({ referrer: 'a\r\nb' })],
  ['injectFaults', () => injectFaults({ delay: { duration: '1s', percentage: 101 } })],
  ['injectFaults, order', () => injectFaults({ delay: { duration: ['2s', '1s'], percentage: 1 } })],
  ['injectFaults, status', () => injectFaults({ abort: { status: 200, percentage: 1 } })],
])('%s refuses options that make no sense', (_name, make) => {
  expect(make).toThrow(InvalidOptionsError);
});
