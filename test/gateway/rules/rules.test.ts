/** The rules of a correct proxy, each by number: that none is without a test, and the tests that stand nowhere else. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../../src/core/errors.ts';
import { compress } from '../../../src/gateway/guards/compress.ts';
import { cors } from '../../../src/gateway/guards/cors.ts';
import {
  closeAfterEach,
  exchange,
  listening,
  raw,
  rawUpstream,
  statusOf,
  until,
  upstream,
} from '../support.ts';
import { mirror } from './mirror.ts';

closeAfterEach();

const rules: Readonly<Record<number, string>> = {
  1: 'hop-by-hop fields end at a hop, both ways',
  2: 'Connection does not name what is not its to name',
  3: 'framing is kept, and as long as was said',
  4: 'what two servers may read differently is refused',
  5: 'nothing is smuggled',
  6: 'HTTP/2 becomes HTTP/1.1 without loss or injection',
  7: 'answers without a body have none',
  8: 'what broke off never looks whole',
  9: 'a tunnel opens after 101 only',
  10: 'Expect, 100 and 103',
  11: 'trailers',
  12: 'ranges are left alone',
  13: 'Via, and loops',
  14: 'one canonical path',
  15: 'checked again after each change of the path',
  16: 'the upstream is never for the path to choose',
  17: 'forwarded fields are believed from trusted proxies only',
  18: 'hosts are matched whole',
  19: 'repeated only where it is safe',
  20: 'a client that leaves aborts the upstream',
  21: 'backpressure both ways',
  22: 'time limits for each phase',
  23: 'bounds on heads, and slow clients',
  24: 'tokens',
  25: 'identity headers, and CORS',
  26: 'administration on loopback; without a token it changes nothing',
};

const root = fileURLToPath(new URL('../../..', import.meta.url));

function textsUnder(folder: string): string {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  return files.map((file) => readFileSync(join(root, folder, file), 'utf8')).join('\n');
}

describe('each rule', () => {
  const tests = ['test/gateway', 'test/system', 'test/sidecar'].map(textsUnder).join('\n');

  it.each(Object.entries(rules))('%s has a test by its number: %s', (number) => {
    expect(new RegExp(`['"\`]rule ${number}:`).test(tests)).toBe(true);
  });
});

describe('both directions, on raw sockets', () => {
  it('rule 3: a request is as long for the upstream as it said, or is broken off', async () => {
    const whole: boolean[] = [];
    let arrived = 0;
    const { url } = await upstream((request) => {
      request.on('error', () => {});
      request.on('data', (chunk: Buffer) => {
        arrived += chunk.length;
      });
      request.on('close', () => whole.push(request.complete));
    });
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(
      port,
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(150_000)}`,
    );
    await until(() => arrived > 0);
    client.socket.destroy();
    await until(() => whole.length === 1);
    expect(whole).toEqual([false]);
  });

  it.each(['Content-Length: 9', 'Transfer-Encoding: chunked'])(
    'rule 8: an answer that breaks off after %s breaks off for the client',
    async (framing) => {
      const { url } = await rawUpstream((socket) => {
        socket.on('data', () =>
          socket.end(
            `HTTP/1.1 200 OK\r\n${framing}\r\n\r\n3\r\nabc\r\n`.slice(
              0,
              framing.includes('9') ? -5 : undefined,
            ),
          ),
        );
      });
      const { port } = await listening({}, (router) => router.route('/*', { url }));
      const client = raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const text = await client.closed;
      expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
      expect(text.length - text.indexOf('\r\n\r\n') - 4).not.toBe(9);
    },
  );

  it('rule 12: ranges go through as they are, both ways, also behind a guard that compresses', async () => {
    const part =
      'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Type: text/plain\r\nETag: "x"\r\nAccept-Ranges: bytes\r\nContent-Length: 4\r\n\r\npart';
    const { url, last } = await mirror(part);
    const { port } = await listening({}, (router) =>
      router.use(compress({ threshold: 0 })).route('/*', { url }),
    );
    const answer = await exchange(port, [
      'GET / HTTP/1.1',
      'Host: a',
      'Range: bytes=0-3',
      'If-Range: "x"',
      'Accept-Encoding: gzip',
    ]);
    expect([last('range'), last('if-range')]).toEqual([['bytes=0-3'], ['"x"']]);
    expect(statusOf(answer)).toBe(206);
    for (const line of [
      'Content-Range: bytes 0-3/9',
      'ETag: "x"',
      'Accept-Ranges: bytes',
      'Content-Length: 4',
    ]) {
      expect(answer).toContain(`${line}\r\n`);
    }
    expect(answer.endsWith('\r\n\r\npart')).toBe(true);
  });

  it('rule 12: 416 and multipart ranges are left alone', async () => {
    for (const [status, type] of [
      ['416 Range Not Satisfiable', 'text/plain'],
      ['206 Partial Content', 'multipart/byteranges; boundary=x'],
    ] as const) {
      const { url } = await mirror(
        `HTTP/1.1 ${status}\r\nContent-Range: bytes */9\r\nContent-Type: ${type}\r\nContent-Length: 2\r\n\r\nok`,
      );
      const { port } = await listening({}, (router) =>
        router.use(compress({ threshold: 0 })).route('/*', { url }),
      );
      const answer = await exchange(port, [
        'GET / HTTP/1.1',
        'Host: a',
        'Range: bytes=90-',
        'Accept-Encoding: gzip',
      ]);
      expect([answer.includes(status), answer.endsWith('\r\n\r\nok')]).toEqual([true, true]);
    }
  });
});

describe('rule 25: CORS', () => {
  const ask = async (guard: ReturnType<typeof cors>, origin: string): Promise<string> => {
    const own = 'Access-Control-Allow-Origin: https://evil.example\r\nAccess-Control-Allow-Credentials: true';
    const { url } = await mirror(`HTTP/1.1 200 OK\r\n${own}\r\nContent-Length: 2\r\n\r\nok`);
    const { port } = await listening({}, (router) => router.use(guard).route('/*', { url }));
    return exchange(port, ['GET / HTTP/1.1', 'Host: a', `Origin: ${origin}`]);
  };

  it('rule 25: credentials are never for every origin', () => {
    expect(() => cors({ origins: '*', credentials: true })).toThrow(InvalidOptionsError);
    for (const origins of [['null'], ['https://a/'], ['a.example'], ['*']]) {
      expect(() => cors({ origins })).toThrow(InvalidOptionsError);
    }
  });

  it('rule 25: an origin that is not allowed gets no permission, not even the upstream’s own', async () => {
    for (const origin of [
      'https://evil.example',
      'null',
      'https://shop.example.evil',
      'http://shop.example',
    ]) {
      const answer = await ask(cors({ origins: ['https://shop.example'], credentials: true }), origin);
      expect(answer).not.toMatch(/access-control-/i);
      expect(answer).toMatch(/^vary: origin\r$/im);
    }
  });

  it('rule 25: one that is allowed gets its own name, once', async () => {
    const answer = await ask(
      cors({ origins: ['https://shop.example'], credentials: true }),
      'https://shop.example',
    );
    expect(answer.match(/^access-control-allow-origin: (.*)\r$/gim)).toEqual([
      'access-control-allow-origin: https://shop.example\r',
    ]);
    expect(answer.match(/^access-control-allow-credentials: true\r$/gim)).toHaveLength(1);
    const open = await ask(cors({ origins: '*' }), 'https://anywhere.example');
    expect(open).toMatch(/^access-control-allow-origin: \*\r$/im);
    expect(open).not.toMatch(/credentials/i);
  });
});
