import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { grpcTimeout } from '../../src/gateway/exchange/grpc.ts';
import type { RequestFinished } from '../../src/gateway/router-events.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { connected, http2Upstream } from './http2-stage.ts';
import { closeAfterEach, registryOf, type TestRegistry, until } from './support.ts';

closeAfterEach();

interface Stage {
  readonly client: ClientHttp2Session;
  readonly clock: ReturnType<typeof testRuntime>['clock'];
  readonly registry: TestRegistry;
  /** Streams that the upstream has got. */
  readonly arrived: { readonly stream: ServerHttp2Stream; readonly headers: Record<string, unknown> }[];
  readonly breaker: CircuitBreaker;
  readonly finished: RequestFinished[];
}

async function stage(options: object = {}): Promise<Stage> {
  const { clock } = testRuntime();
  const arrived: Stage['arrived'][number][] = [];
  const { url } = await http2Upstream((stream, headers) => arrived.push({ stream, headers }));
  const registry = registryOf({ echo: [url] });
  const breaker = new CircuitBreaker({ name: 'echo', runtime: { clock } });
  const { client, router } = await connected(
    (it) => it.route('/test.Echo/*', { service: 'echo', http2: true, policy: breaker }),
    { registry, runtime: { clock }, ...options },
  );
  const finished: RequestFinished[] = [];
  router.on('finished', (event) => finished.push(event));
  return { client, clock, registry, arrived, breaker, finished };
}

interface Told {
  headers: Record<string, unknown>;
  trailers: Record<string, unknown>;
  closed: boolean;
}

function call(
  client: ClientHttp2Session,
  timeout: string,
  type = 'application/grpc+proto',
): ClientHttp2Stream & { told: Told } {
  const stream = client.request({
    ':method': 'POST',
    ':path': '/test.Echo/Do',
    'content-type': type,
    te: 'trailers',
    'grpc-timeout': timeout,
  });
  const told: Told = { headers: {}, trailers: {}, closed: false };
  stream.on('response', (headers) => {
    told.headers = headers;
  });
  stream.on('trailers', (trailers) => {
    told.trailers = trailers;
  });
  stream.on('error', () => {});
  stream.on('close', () => {
    told.closed = true;
  });
  stream.resume();
  return Object.assign(stream, { told });
}

describe('the deadline of a gRPC call', () => {
  it('ends a call that has no answer, by status 4 in the head, and nobody is blamed for a stranger’s', async () => {
    const { client, clock, registry, arrived, breaker, finished } = await stage();
    const stream = call(client, '200m');
    await until(() => arrived.length === 1);
    expect(arrived[0]!.headers['grpc-timeout']).toBe('200m');
    expect(arrived[0]!.headers['x-request-timeout']).toBeUndefined();
    await clock.advance(199);
    expect(stream.told.closed).toBe(false);
    await clock.advance(1);
    await until(() => stream.told.closed && arrived[0]!.stream.closed);
    expect(stream.told.headers).toMatchObject({
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': '4',
      'grpc-message': 'the deadline of the call has passed',
    });
    await until(() => finished.length === 1 && registry.open === 0);
    expect(finished[0]!.status).toBe(504);
    expect([registry.outcomes[0]!.outcome, breaker.metrics.window.failures]).toEqual(['cancelled', 0]);
  });

  it('counts against the instance when a trusted proxy has said it', async () => {
    const { client, clock, registry, arrived } = await stage({ trustedProxies: ['127.0.0.1'] });
    const stream = call(client, '1S');
    await until(() => arrived.length === 1);
    expect(arrived[0]!.headers['x-request-timeout']).toBe('1000ms');
    clock.advance(1_000);
    await until(() => stream.told.closed && registry.open === 0);
    expect([stream.told.headers['grpc-status'], registry.outcomes[0]!.outcome]).toEqual(['4', 'failure']);
  });

  it('ends a stream that has begun, by trailers', async () => {
    const { client, clock, arrived, registry } = await stage();
    const stream = call(client, '5S');
    await until(() => arrived.length === 1);
    arrived[0]!.stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    arrived[0]!.stream.write('message');
    await until(() => stream.told.headers[':status'] === 200);
    clock.advance(5_000);
    await until(() => stream.told.closed && arrived[0]!.stream.closed);
    expect(stream.told.trailers).toMatchObject({ 'grpc-status': '4' });
    expect(stream.rstCode).toBe(0);
    await until(() => registry.open === 0);
    expect(registry.outcomes[0]!.outcome).toBe('cancelled');
  });

  it('does not touch a call that ends in time', async () => {
    const { client, clock, arrived, registry } = await stage();
    const stream = call(client, '5S');
    await until(() => arrived.length === 1);
    const { stream: got } = arrived[0]!;
    got.respond({ ':status': 200 }, { waitForTrailers: true });
    got.on('wantTrailers', () => got.sendTrailers({ 'grpc-status': '0' }));
    got.end('message');
    await until(() => stream.told.closed);
    clock.advance(10_000);
    expect(stream.told.trailers).toMatchObject({ 'grpc-status': '0' });
    await until(() => registry.open === 0);
    expect(registry.outcomes[0]!.outcome).toBe('success');
  });

  it('that has passed already is answered at once, and nothing is called', async () => {
    const { client, arrived } = await stage();
    const stream = call(client, '0m');
    await until(() => stream.told.closed);
    expect([stream.told.headers['grpc-status'], arrived.length]).toEqual(['4', 0]);
  });

  it('means nothing for what is no gRPC', async () => {
    const { client, clock, arrived } = await stage();
    const stream = call(client, '1m', 'application/json');
    await until(() => arrived.length === 1);
    clock.advance(10_000);
    arrived[0]!.stream.respond({ ':status': 200 }, { endStream: true });
    await until(() => stream.told.closed);
    expect(stream.told.headers[':status']).toBe(200);
  });
});

it('a grpc-timeout is up to eight digits and a unit', () => {
  expect(['1H', '2M', '3S', '4m', '5u', '6n', '99999999H'].map(grpcTimeout)).toEqual([
    3_600_000, 120_000, 3_000, 4, 0.005, 0.000_006, 359_999_996_400_000,
  ]);
  for (const odd of [undefined, '', '5', 'S', '-1S', '1.5S', '123456789S', '1s', '1S ']) {
    expect([odd, grpcTimeout(odd)]).toEqual([odd, undefined]);
  }
});
