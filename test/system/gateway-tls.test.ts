import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as secureRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
});
