/** Clients and upstreams that speak HTTP/2. */
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RequestRouterOptions } from '../../src/gateway/router-options.ts';
import { onCleanup } from './support.ts';

/** A router that speaks HTTP/2 without TLS, and a client connected to it. */
export async function connected(
  declare: (router: RequestRouter) => unknown,
  options: RequestRouterOptions = {},
): Promise<{ client: ClientHttp2Session; router: RequestRouter; url: string }> {
  const router = new RequestRouter(options);
  declare(router);
  const { url } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
  onCleanup(() => router.stop({ timeout: 0 }));
  return { client: clientOf(url), router, url };
}

export function clientOf(url: string): ClientHttp2Session {
  const client = connect(url);
  client.on('error', () => {});
  onCleanup(() => client.destroy());
  return client;
}

/** An upstream that speaks HTTP/2 only. */
export async function http2Upstream(
  onStream: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
): Promise<{
  readonly url: string;
  readonly server: Http2Server;
  readonly sessions: Set<{ goaway(code: number, last: number): void }>;
}> {
  const server = createServer();
  const sessions = new Set<never>();
  server.on('session', (session) => {
    sessions.add(session as never);
    session.on('error', () => {});
    onCleanup(() => session.destroy());
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sessions };
}

export interface Asked {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  readonly trailers: Record<string, unknown>;
  readonly hints: readonly Record<string, unknown>[];
  readonly code: number;
}

export function ask(
  client: ClientHttp2Session,
  headers: Record<string, string | string[]>,
  body?: string | Buffer,
  trailers?: Record<string, string>,
): Promise<Asked> {
  return new Promise((resolve) => {
    const stream = client.request(headers, {
      endStream: body === undefined,
      waitForTrailers: trailers !== undefined,
    });
    const seen = {
      headers: {} as Record<string, unknown>,
      trailers: {},
      hints: [] as Record<string, unknown>[],
    };
    let text = '';
    stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
    stream.on('headers', (hint) => seen.hints.push(hint));
    stream.on('response', (got) => {
      seen.headers = got;
    });
    stream.on('trailers', (got) => {
      seen.trailers = got;
    });
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      resolve({ ...seen, status: Number(seen.headers[':status'] ?? 0), body: text, code: stream.rstCode });
    });
    if (body !== undefined) stream.end(body);
  });
}
