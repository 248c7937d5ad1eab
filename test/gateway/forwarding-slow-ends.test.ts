import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../src/core/errors.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';
import {
  closeAfterEach,
  listening,
  onCleanup,
  pause,
  raw,
  rawUpstream,
  registryOf,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

describe('streams', () => {
  it('rule 21: a client that does not read stops the upstream, and nothing piles up', async () => {
    let sent = 0;
    const total = 256 * 65_536;
    const { url } = await upstream((_request, response) => {
      const piece = Buffer.alloc(65_536);
      const more = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    client.socket.pause();
    await until(() => sent > 0);
    let before = -1;
    while (before !== sent) {
      before = sent;
      await pause(50);
    }
    expect(sent).toBeLessThan(total);
    client.socket.resume();
    expect((await client.closed).length).toBeGreaterThan(total);
  });

  it('rule 22: a client that takes nothing for too long gives its upstream connection back', async () => {
    let open = 0;
    const { url } = await upstream((_request, response) => {
      open += 1;
      response.on('close', () => {
        open -= 1;
      });
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    });
    const registry = registryOf({ endless: [url] });
    const { port, router, finished } = await listening({ registry }, (it) =>
      it
        .route('/stalled', { service: 'endless', timeouts: { idle: 200 } })
        .route('/patient', { service: 'endless', timeouts: { idle: 0 } }),
    );
    const [patient, stalled] = ['patient', 'stalled'].map((path) =>
      raw(port, `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
    );
    patient?.socket.pause();
    stalled?.socket.pause();
    await until(() => finished.length === 1 && open === 1);
    expect([finished[0]?.path, finished[0]?.error]).toEqual(['/stalled', expect.any(TimeoutError)]);
    expect([router.active, registry.outcomes.map(({ outcome }) => outcome)]).toEqual([1, ['cancelled']]);
  });

  it.each(['/pieces', '/whole'])(
    'rule 22: a client that takes nothing of a handler’s answer for too long is given up: %s',
    async (path) => {
      let cancelled = 0;
      const pieces = (): ReadableStream<Uint8Array> =>
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
          cancel: () => {
            cancelled += 1;
          },
        });
      const { port, router, finished } = await listening({ timeouts: { idle: 200 } }, (it) =>
        it
          .route('/pieces', { handle: () => new Response(pieces()) })
          .route('/whole', { handle: () => new Response(new Uint8Array(30_000_000)) }),
      );
      const client = raw(port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      client.socket.pause();
      await until(() => finished.length === 1, 'the end');
      expect([finished[0]?.error, router.active]).toEqual([expect.any(TimeoutError), 0]);
      expect(cancelled).toBe(path === '/pieces' ? 1 : 0);
    },
  );

  it('rule 22: a client that takes a long answer of a handler slowly is not given up', async () => {
    const clock = new ManualClock();
    const router = new RequestRouter({ timeouts: { idle: 300 }, runtime: { clock } }).route('/*', {
      handle: () => new Response(new Uint8Array(12_000_000)),
    });
    onCleanup(() => router.stop({ timeout: 0 }));
    let drains = 0;
    const { port } = await upstream((request, response) => {
      response.on('drain', () => {
        drains += 1;
      });
      router.node(request, response);
    });
    const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let waits = 0;
    let seen = 0;
    client.socket.on('data', () => {
      if (drains === seen) return;
      // Something was taken since: the next wait may be as long again.
      seen = drains;
      waits += 1;
      clock.advanceSync(299);
    });
    expect((await client.closed).length).toBeGreaterThan(12_000_000);
    expect(waits).toBeGreaterThan(2);
  });

  it('rule 21: an upstream that does not read stops the client', async () => {
    const { url } = await rawUpstream((socket) => socket.pause());
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    let written = 0;
    const total = 256;
    const more = (): void => {
      while (written < total) {
        written += 1;
        if (!client.socket.write(piece)) {
          client.socket.once('drain', more);
          return;
        }
      }
    };
    more();
    let before = -1;
    while (before !== written) {
      before = written;
      await pause(50);
    }
    expect(written).toBeLessThan(total);
  });

  it.each(['has left', 'waits'])(
    'rule 22: an upload of which the upstream takes nothing ends in time, also when its client %s',
    async (what) => {
      const { url } = await rawUpstream((socket) => socket.pause());
      const registry = registryOf({ stalled: [url] });
      const clock = new ManualClock();
      const timeouts = { connect: 0, firstByte: 0, idle: 300 };
      const options = { registry, timeouts, runtime: { clock } };
      const { port, router, finished } = await listening(options, (it) =>
        it.route('/*', { service: 'stalled' }),
      );
      const client = raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`;
      // Until the buffers of every hop are full, and the router waits for the upstream.
      await until(() => {
        const { writableLength } = client.socket;
        if (writableLength < 16 * piece.length) client.socket.write(piece);
        return writableLength >= 16 * piece.length && clock.pending === 1;
      }, 'full buffers');
      // Nobody reads on either side: that the client has left reaches no one.
      if (what === 'has left') client.socket.destroy();
      clock.advanceSync(300);
      await until(() => finished.length === 1, 'the end');
      expect(finished[0]).toMatchObject({ status: 504, error: expect.any(TimeoutError) });
      expect([router.active, registry.outcomes.map(({ outcome }) => outcome)]).toEqual([0, ['failure']]);
    },
  );
});
