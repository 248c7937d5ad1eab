/** curl as the client: what people try things out with has to see what it would see without us. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import {
  closeAfterEach,
  listening,
  onCleanup,
  type TestRouter,
  until,
  upstream,
} from '../gateway/support.ts';
import { describeProgram } from '../servers/describe-server.ts';
import { curl } from '../servers/program-kind.ts';

closeAfterEach();

const long = Buffer.alloc(3_000_000, 'holdfast ');
const digest = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Tells what it got, and gives what it is asked for. */
const answering: RequestListener = (request, response) => {
  const { method, url, headers } = request;
  if (url === '/long') {
    const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    const body = long.subarray(from);
    const range = from === 0 ? {} : { 'content-range': `bytes ${from}-${long.length - 1}/${long.length}` };
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': body.length, ...range }).end(body);
  } else if (url === '/trailers') {
    response.writeHead(200, { trailer: 'x-check' });
    response.write('body');
    response.addTrailers({ 'x-check': 'whole' });
    response.end();
  } else if (url === '/hints') {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => response.end('hinted'));
  } else if (url === '/cut') {
    response.writeHead(200, { 'content-length': 100 });
    response.write('only this', () => response.destroy());
  } else if (url === '/moved') {
    response.writeHead(302, { location: '/end' }).end();
  } else {
    void read(request).then((body) => {
      const told = { method, url, length: body.length, digest: digest(body), framing: framingOf(request) };
      response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
      response.end(method === 'HEAD' ? undefined : JSON.stringify(told));
    });
  }
};

function framingOf({ headers }: IncomingMessage): string {
  return headers['transfer-encoding'] ?? `length ${headers['content-length'] ?? 'none'}`;
}

async function between(listener: RequestListener = answering): Promise<TestRouter> {
  const behind = await upstream(listener);
  return listening({}, (router) => router.route('/*', { url: behind.url }), { http2: true });
}

describeProgram(curl, (program) => {
  const versions = [
    ['HTTP/1.1', '--http1.1'],
    ['HTTP/2', '--http2-prior-knowledge'],
  ] as const;

  for (const [name, option] of versions) {
    const run = (...values: string[]) => program.run(['-sS', '--max-time', '60', option, ...values]);

    it(`${name}: a long download, and the rest of it by a range`, async () => {
      const { url } = await between();
      const whole = await run(`${url}/long`);
      expect([whole.code, digest(Buffer.from(whole.stdout, 'latin1'))]).toEqual([0, digest(long)]);
      const rest = await run('-C', '2999000', '-i', `${url}/long`);
      expect(rest.stdout).toMatch(/^HTTP\/\S+ 206/);
      expect(rest.stdout).toContain('content-range: bytes 2999000-2999999/3000000');
      expect(rest.stdout.endsWith(long.subarray(2_999_000).toString('latin1'))).toBe(true);
    });

    it(`${name}: uploads of known and of unknown length, after 100 Continue`, async () => {
      const { url } = await between();
      const known = await program.run(
        [
          '-sS',
          option,
          '-H',
          'Expect: 100-continue',
          '--expect100-timeout',
          '60',
          '--data-binary',
          '@-',
          `${url}/up`,
        ],
        long,
      );
      expect(JSON.parse(known.stdout)).toMatchObject({
        length: long.length,
        digest: digest(long),
        framing: 'length 3000000',
      });
      const streamed = await program.run(['-sS', option, '-T', '-', `${url}/up`], long);
      expect(JSON.parse(streamed.stdout)).toMatchObject({
        method: 'PUT',
        digest: digest(long),
        framing: 'chunked',
      });
    });

    it(`${name}: HEAD, redirects, cookies and early hints`, async () => {
      const { url } = await between();
      const head = await run('-I', `${url}/end`);
      expect([head.code, head.stdout.match(/set-cookie: ./g)]).toEqual([
        0,
        ['set-cookie: a', 'set-cookie: b'],
      ]);
      // This curl cannot use a connection by prior knowledge twice, so it is not asked to follow.
      const moved = await run('-w', '%{http_code} %{redirect_url}', `${url}/moved`);
      expect(moved.stdout).toBe(`302 ${url}/end`);
      const hinted = await run('-i', `${url}/hints`);
      expect(hinted.stdout).toMatch(
        /^HTTP\/\S+ 103[\s\S]*link: <\/style\.css>; rel=preload[\s\S]*HTTP\/\S+ 200[\s\S]*hinted$/i,
      );
    });

    it(`${name}: trailers come through, and an answer that is cut off looks cut off`, async () => {
      const { url } = await between();
      const trailed = await run('-i', '-H', 'TE: trailers', `${url}/trailers`);
      expect(trailed.stdout).toMatch(/body[\s\S]*x-check: whole|x-check: whole[\s\S]*body/);
      const cut = await run(`${url}/cut`);
      // 18: partial file; 92: stream error.
      expect([18, 92]).toContain(cut.code);
    });
  }

  it('a client that gives up has its call upstream aborted', async () => {
    const state = { begun: 0, aborted: 0 };
    const { url, finished } = await between((_request, response) => {
      state.begun += 1;
      response.on('close', () => {
        state.aborted += 1;
      });
    });
    const { code } = await program.run(['-sS', '--max-time', '1', `${url}/`]);
    await until(() => state.aborted === 1 && finished.length === 1);
    expect([code, state.begun, finished[0]?.status]).toEqual([28, 1, 499]);
  });

  it('HTTP/1.0: one answer without chunks, and the connection closed', async () => {
    const { url } = await between();
    const { code, stdout } = await program.run([
      '-sS',
      '-i',
      '--http1.0',
      '--max-time',
      '60',
      `${url}/trailers`,
    ]);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/transfer-encoding/i);
    expect(stdout).toMatch(/connection: close[\s\S]*\r\n\r\nbody$/i);
  });

  it('many requests on one connection, each with its own answer', async () => {
    const behind = await upstream((request, response) => response.end(`${request.url}\n`));
    const { url } = await listening({}, (it) => it.route('/*', { url: behind.url }));
    const { stdout, stderr } = await program.run(['-sS', '-v', `${url}/[1-40]`]);
    expect(stdout).toBe(Array.from({ length: 40 }, (_, index) => `/${index + 1}\n`).join(''));
    expect(stderr.match(/Connected to /g)).toHaveLength(1);
  });

  it('an upstream by HTTP/2, asked by HTTP/1.1', async () => {
    const server = createHttp2Server();
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-path': headers[':path'] });
      stream.end('by streams');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { url } = await listening({}, (it) =>
      it.route('/*', { url: `http://127.0.0.1:${port}`, http2: true }),
    );
    const { stdout } = await program.run(['-sS', '-i', '--http1.1', `${url}/there?q=1`]);
    expect(stdout).toMatch(/^HTTP\/1\.1 200[\s\S]*x-path: \/there\?q=1[\s\S]*by streams$/);
  });
});
