import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { addPriorKnowledge } from '../../src/gateway/doors/http2-server.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, listening, onCleanup, until, upstream } from './support.ts';

closeAfterEach();

function client(url: string) {
  const session = connect(url);
  session.on('error', () => {});
  onCleanup(() => session.destroy());
  return session;
}

describe('rule 23: slow clients over HTTP/2', () => {
  it('a request that is not whole after five minutes is reset', async () => {
    const { url } = await upstream((_request, response) => response.end('ok'));
    const runtime = testRuntime();
    const { url: front, router } = await listening({ runtime }, (it) => it.route('/*', { url }), {
      http2: true,
    });
    const session = client(front);
    const stream = session.request({ ':method': 'POST', ':path': '/', 'content-length': '10' });
    stream.on('error', () => {});
    const closed = once(stream, 'close');
    stream.write('x');
    await until(() => router.active === 1, 'the request');
    await runtime.clock.advance(299_000);
    expect(stream.closed).toBe(false);
    await runtime.clock.advance(2_000);
    await closed;
    await until(() => router.active === 0, 'nothing under way');
    expect(session.closed).toBe(false);
  });

  it('but not one whose answer has begun', async () => {
    const { url } = await upstream((request, response) => {
      response.write('begun,');
      request.pipe(response);
    });
    const runtime = testRuntime();
    const { url: front } = await listening(
      { runtime, timeouts: { idle: 0 } },
      (it) => it.route('/*', { url }),
      { http2: true },
    );
    const stream = client(front).request({ ':method': 'POST', ':path': '/' });
    let text = '';
    stream.on('data', (chunk) => {
      text += String(chunk);
    });
    stream.write('first,');
    await until(() => text === 'begun,first,', 'the answer to begin');
    await runtime.clock.advance(3_600_000);
    stream.end('more');
    await once(stream, 'close');
    expect(text).toBe('begun,first,more');
  });

  it('a connection without a stream is closed, one with a stream is not', async () => {
    const sessions: ServerHttp2Session[] = [];
    const server = createServer();
    addPriorKnowledge(
      server,
      { onSession: (session) => sessions.push(session), onStream: (stream) => stream.respond() },
      16_384,
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => server.close());
    const session = client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const stream = session.request({ ':path': '/' });
    stream.resume();
    await once(stream, 'response');
    // As Node does when nothing was sent either way for so long.
    sessions[0]!.emit('timeout');
    expect(sessions[0]!.closed).toBe(false);
    stream.close();
    await until(() => stream.closed, 'the stream to end');
    await until(() => {
      sessions[0]!.emit('timeout');
      return sessions[0]!.closed;
    }, 'the connection to close');
    await once(session, 'close');
  });
});
