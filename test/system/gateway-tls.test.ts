import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { connect, createSecureServer, type SecureServerOptions } from 'node:http2';
import { Agent, createServer, request as secureRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, onCleanup } from '../gateway/support.ts';

closeAfterEach();

/** A key, and a certificate for 127.0.0.1 that nobody vouches for. */
function selfSigned(): { key: Buffer; cert: Buffer } {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  onCleanup(() => rmSync(directory, { recursive: true }));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert];
  execFileSync('openssl', made, { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

describe('RequestRouter', () => {
  it('does not speak to an upstream whose certificate nobody vouches for (CVE-2026-9697)', async () => {
    let asked = 0;
    const server = createServer(selfSigned(), (_request, response) => {
      asked += 1;
      response.end('secret');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const router = new RequestRouter().route('/*', { url: `https://127.0.0.1:${port}` });
    onCleanup(() => router.stop({ timeout: 0 }));
    const answer = await router.fetch(new Request('http://shop/'));
    expect([answer.status, asked]).toEqual([502, 0]);
  });

  it('speaks TLS', async () => {
    const tls = selfSigned();
    const router = new RequestRouter().route('/', { handle: (it) => new Response(it.scheme) });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { url } = await router.listen({ port: 0, host: '127.0.0.1', tls });
    const text = await new Promise<string>((resolve, reject) => {
      secureRequest(url, { ca: tls.cert, agent: false }, (response) => {
        response.on('data', (chunk) => resolve(String(chunk)));
      })
        .on('error', reject)
        .end();
    });
    expect([url.startsWith('https://'), text]).toEqual([true, 'https']);
  });

  it.each(['h2', 'http/1.1'])('speaks %s with a client that asks for it by ALPN', async (protocol) => {
    const tls = selfSigned();
    const router = new RequestRouter().route('/', { handle: (it) => new Response(it.scheme) });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { url } = await router.listen({ port: 0, host: '127.0.0.1', tls });
    const text = await (protocol === 'h2' ? askHttp2(url, tls.cert) : askHttp1(url, tls.cert));
    expect(text).toBe(`${protocol} https`);
  });

  it('speaks no HTTP/2 over TLS when it is told not to', async () => {
    const tls = selfSigned();
    const router = new RequestRouter().route('/', { handle: (it) => new Response(it.scheme) });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { url } = await router.listen({ port: 0, host: '127.0.0.1', tls, http2: false });
    await expect(askHttp2(url, tls.cert)).rejects.toThrow();
    expect(await askHttp1(url, tls.cert)).toMatch(/https$/);
  });

  it.each([false, true])('trusts an upstream by `upstreamTls.ca` only, HTTP/2: %s', async (http2) => {
    const tls = selfSigned();
    const { url, asked } = await secureUpstream(tls);
    for (const [ca, status] of [
      [tls.cert, 200],
      [selfSigned().cert, 502],
      [undefined, 502],
    ] as const) {
      const router = new RequestRouter({ upstreamTls: { ca } }).route('/*', { url, http2 });
      onCleanup(() => router.stop({ timeout: 0 }));
      expect((await router.fetch(new Request('http://shop/'))).status).toBe(status);
    }
    expect(asked).toEqual([http2 ? '2.0' : '1.1']);
  });

  it.each([false, true])('shows an upstream its own certificate, HTTP/2: %s', async (http2) => {
    const [tls, own] = [selfSigned(), selfSigned()];
    const { url, asked } = await secureUpstream({ ...tls, requestCert: true, ca: own.cert });
    const known = new RequestRouter({ upstreamTls: { ca: tls.cert, ...own } }).route('/*', { url, http2 });
    const unknown = new RequestRouter({ upstreamTls: { ca: tls.cert } }).route('/*', { url, http2 });
    onCleanup(() => Promise.all([known.stop({ timeout: 0 }), unknown.stop({ timeout: 0 })]));
    expect((await known.fetch(new Request('http://shop/'))).status).toBe(200);
    expect((await unknown.fetch(new Request('http://shop/'))).status).toBe(502);
    expect(asked.length).toBe(1);
  });

  it.each([true, false])(
    'sends trailers of a request to an upstream that is trusted: %s',
    async (trusted) => {
      const tls = selfSigned();
      const { url, asked } = await secureUpstream(tls);
      const router = new RequestRouter({ upstreamTls: { ca: trusted ? tls.cert : selfSigned().cert } });
      onCleanup(() => router.stop({ timeout: 0 }));
      const { url: front } = await router.route('/*', { url }).listen({ port: 0, host: '127.0.0.1' });
      const status = await new Promise((resolve, reject) => {
        const sent = plainRequest(front, { method: 'POST', headers: { trailer: 'x-sum' } });
        sent.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject);
        sent.write('body');
        sent.addTrailers({ 'x-sum': '7' });
        sent.end();
      });
      expect([status, asked]).toEqual(trusted ? [200, ['1.1', 'x-sum: 7']] : [502, []]);
    },
  );

  it.each<[object, string]>([
    [{ ca: '' }, 'upstreamTls.ca'],
    [{ cert: 'x' }, 'upstreamTls'],
    [{ rejectUnauthorized: false }, 'upstreamTls.rejectUnauthorized'],
  ])('refuses %j, which no upstream could be trusted by', (upstreamTls, field) => {
    expect(() => new RequestRouter({ upstreamTls })).toThrow(field);
  });
});

/** An upstream that speaks both versions over TLS; `asked` has the version of each request. */
async function secureUpstream(tls: SecureServerOptions): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createSecureServer({ ...tls, allowHTTP1: true }, (request, response) => {
    asked.push(request.httpVersion);
    request.resume().on('end', () => {
      for (const [name, value] of Object.entries(request.trailers)) asked.push(`${name}: ${value}`);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanup(() => void server.close());
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** The protocol that was agreed on and the answer's body. */
function askHttp1(url: string, ca: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca, ALPNProtocols: ['http/1.1'] });
    onCleanup(() => agent.destroy());
    secureRequest(url, { agent }, (response) => {
      const { alpnProtocol } = response.socket as TLSSocket;
      response.on('data', (chunk) => resolve(`${alpnProtocol} ${chunk}`));
    })
      .on('error', reject)
      .end();
  });
}

/** The same over HTTP/2. */
function askHttp2(url: string, ca: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { ca });
    session.on('error', reject);
    onCleanup(() => session.destroy());
    const stream = session.request({ ':path': '/' });
    stream.on('error', reject);
    stream.on('data', (chunk) => resolve(`${session.alpnProtocol} ${chunk}`));
  });
}
