import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as secureRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, onCleanup } from '../gateway/support.ts';

closeAfterEach();

describe('RequestRouter', () => {
  it('speaks TLS', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
    onCleanup(() => rmSync(directory, { recursive: true }));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        ...subject,
      ].concat(['-keyout', key, '-out', cert]),
      { stdio: 'ignore' },
    );
    const router = new RequestRouter().route('/', { handle: (it) => new Response(it.scheme) });
    onCleanup(() => router.stop({ timeout: 0 }));
    const tls = { key: readFileSync(key), cert: readFileSync(cert) };
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
