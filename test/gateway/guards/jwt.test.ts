import { createHmac, generateKeyPairSync, type webcrypto } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { InvalidOptionsError, ProblemError } from '../../../src/core/errors.ts';
import type { Exchange } from '../../../src/gateway/exchange/exchange.ts';
import { type JwtOptions, jwt } from '../../../src/gateway/guards/jwt.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import { type TestRuntime, testRuntime } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, pause, until, upstream } from '../support.ts';

closeAfterEach();

const secret = 'a secret of at least thirty-two bytes';
const common = { issuer: 'https://issuer', audience: 'shop' };

interface Key {
  readonly privateKey: webcrypto.CryptoKey;
  readonly jwk: JWK;
}

async function makeKey(kid: string, alg = 'ES256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

function claims(runtime: TestRuntime, changes: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(runtime.clock.wallTime() / 1_000);
  return { iss: 'https://issuer', aud: 'shop', sub: 'ann', iat: now, exp: now + 60, ...changes };
}

const sign = (
  key: webcrypto.CryptoKey | Uint8Array,
  header: { alg: string; kid?: string },
  payload: object,
): Promise<string> => new SignJWT(payload as never).setProtectedHeader(header).sign(key);

const hs = (payload: object): Promise<string> =>
  sign(new TextEncoder().encode(secret), { alg: 'HS256' }, payload);

/** What becomes of a request with this token: the exchange that a route saw, or the refusal. */
async function ask(
  guard: ReturnType<typeof jwt>,
  authorization: string | undefined,
  extra: Record<string, string> = {},
): Promise<{
  readonly status: number;
  readonly challenge: string | null;
  readonly seen: Exchange | undefined;
}> {
  let seen: Exchange | undefined;
  const router = new RequestRouter().route('/*', {
    guards: [guard],
    handle: (exchange) => {
      seen = exchange;
      return new Response('ok');
    },
  });
  const headers = { ...extra, ...(authorization === undefined ? {} : { authorization }) };
  const response = await router.fetch(new Request('http://a/', { headers }));
  return { status: response.status, challenge: response.headers.get('www-authenticate'), seen };
}

describe('rule 24: jwt', () => {
  let first: Key;
  let second: Key;
  beforeAll(async () => {
    first = await makeKey('one');
    second = await makeKey('two');
  });

  it('lets a valid token pass and tells who it is', async () => {
    const runtime = testRuntime();
    const guard = jwt({ ...common, secret, runtime });
    const { status, seen } = await ask(guard, `Bearer ${await hs(claims(runtime, { role: 'admin' }))}`);
    expect(status).toBe(200);
    expect(seen?.principal).toMatchObject({ subject: 'ann', claims: { role: 'admin' } });
  });

  it.each([
    ['no token', undefined],
    ['another scheme', 'Basic YTpi'],
    ['nonsense', 'Bearer nonsense'],
    ['a token with a space', 'Bearer a b'],
    ['two tokens', 'Bearer a, Bearer b'],
    ['five megabytes', `Bearer ${'x'.repeat(100_000)}`],
    ['a comma', 'Bearer ,'],
  ])('refuses %s with a challenge', async (_name, authorization) => {
    const { status, challenge, seen } = await ask(jwt({ ...common, secret }), authorization);
    expect([status, seen]).toEqual([401, undefined]);
    expect(challenge).toMatch(/^Bearer/);
  });

  it.each([
    ['another issuer', { iss: 'https://evil' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'other' }],
    ['no audience', { aud: undefined }],
    ['no expiry', { exp: undefined }],
    ['an expiry in the past', { exp: 1_893_456_000 - 6 }],
    ['a beginning in the future', { nbf: 1_893_456_000 + 60 }],
  ])('refuses %s', async (_name, change) => {
    const runtime = testRuntime();
    const { status, challenge } = await ask(
      jwt({ ...common, secret, runtime }),
      `Bearer ${await hs(claims(runtime, change))}`,
    );
    expect([status, challenge]).toEqual([401, 'Bearer error="invalid_token"']);
  });

  it('expires by the runtime’s clock, with tolerance', async () => {
    const runtime = testRuntime();
    const guard = jwt({ ...common, secret, runtime, clockTolerance: '5s' });
    const authorization = `Bearer ${await hs(claims(runtime))}`;
    runtime.clock.advanceSync(64_000);
    expect((await ask(guard, authorization)).status).toBe(200);
    runtime.clock.advanceSync(2_000);
    expect((await ask(guard, authorization)).status).toBe(401);
  });

  it('never accepts none, nor an HMAC made with a public key', async () => {
    const runtime = testRuntime();
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = encode(claims(runtime));
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'rsa' };
    const guard = jwt({ ...common, jwks: { keys: [jwk] }, runtime });
    const head = encode({ alg: 'HS256', kid: 'rsa' });
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const mac = createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url');
    for (const token of [
      `${encode({ alg: 'none' })}.${body}.`,
      `${encode({ alg: 'None', kid: 'rsa' })}.${body}.AAAA`,
      `${head}.${body}.${mac}`,
      `${encode({ alg: 'ES256', jwk: first.jwk })}.${body}.AAAA`,
    ]) {
      expect((await ask(guard, `Bearer ${token}`)).status).toBe(401);
    }
  });

  it('takes only algorithms of the list, and only the key’s own', async () => {
    const runtime = testRuntime();
    const jwks = { keys: [first.jwk] };
    const token = `Bearer ${await sign(first.privateKey, { alg: 'ES256', kid: 'one' }, claims(runtime))}`;
    expect((await ask(jwt({ ...common, jwks, runtime }), token)).status).toBe(200);
    expect((await ask(jwt({ ...common, jwks, runtime, algorithms: ['RS256'] }), token)).status).toBe(401);
    const relabelled = { keys: [{ ...first.jwk, alg: 'ES384' }] };
    expect((await ask(jwt({ ...common, jwks: relabelled, runtime }), token)).status).toBe(401);
    const stranger = `Bearer ${await sign(second.privateKey, { alg: 'ES256', kid: 'one' }, claims(runtime))}`;
    expect((await ask(jwt({ ...common, jwks, runtime }), stranger)).status).toBe(401);
  });

  it('fetches a JWKS once for many, again for a new key, and not for every unknown one', async () => {
    const runtime = testRuntime();
    let keys = [first.jwk];
    let fetches = 0;
    const { url } = await upstream((_request, response) => {
      fetches += 1;
      setTimeout(() => response.end(JSON.stringify({ keys })), 10);
    });
    const guard = jwt({ ...common, jwks: `${url}/jwks.json`, runtime });
    const of = async ({ privateKey, jwk }: Key): Promise<string> =>
      `Bearer ${await sign(privateKey, { alg: 'ES256', kid: jwk.kid! }, claims(runtime, { exp: 2_000_000_000 }))}`;
    const old = await of(first);
    const statuses = await Promise.all([old, old, old].map((token) => ask(guard, token)));
    expect([statuses.map(({ status }) => status), fetches]).toEqual([[200, 200, 200], 1]);
    // Rotation: the new key is not known, and the cooldown has not passed.
    keys = [second.jwk];
    const fresh = await of(second);
    expect([(await ask(guard, fresh)).status, fetches]).toEqual([401, 1]);
    runtime.clock.advanceSync(30_000);
    expect([(await ask(guard, fresh)).status, fetches]).toEqual([200, 2]);
    // A thousand made-up key ids cost at most one fetch per cooldown.
    const unknown = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        sign(second.privateKey, { alg: 'ES256', kid: `k${n}` }, claims(runtime)),
      ),
    );
    await Promise.all(unknown.map((token) => ask(guard, `Bearer ${token}`)));
    expect(fetches).toBe(2);
  });

  it('fetches at most once at a time', async () => {
    const runtime = testRuntime();
    let fetches = 0;
    let release = (): void => {};
    const { url } = await upstream((_request, response) => {
      fetches += 1;
      release = () => response.end(JSON.stringify({ keys: [first.jwk] }));
    });
    const guard = jwt({ ...common, jwks: url, cooldown: 1, runtime });
    const token = `Bearer ${await sign(first.privateKey, { alg: 'ES256', kid: 'one' }, claims(runtime))}`;
    const one = ask(guard, token);
    await until(() => fetches === 1);
    runtime.clock.advanceSync(1_000);
    const two = ask(guard, token);
    await pause(20);
    release();
    expect([(await one).status, (await two).status, fetches]).toEqual([200, 200, 1]);
  });

  it('keeps the keys it has when they cannot be fetched, and says 503 when it has none', async () => {
    const runtime = testRuntime();
    let answer = (): string => JSON.stringify({ keys: [first.jwk] });
    let fetches = 0;
    const { url } = await upstream((_request, response) => {
      fetches += 1;
      const body = answer();
      response.writeHead(body === '' ? 500 : 200).end(body);
    });
    const token = async (): Promise<string> =>
      `Bearer ${await sign(first.privateKey, { alg: 'ES256', kid: 'one' }, claims(runtime))}`;
    const guard = jwt({ ...common, jwks: url, runtime });
    expect((await ask(guard, await token())).status).toBe(200);
    for (const bad of ['', 'nonsense', '[]', '{"keys":7}', `"${'x'.repeat(1_100_000)}"`]) {
      answer = () => bad;
      runtime.clock.advanceSync(600_001);
      expect((await ask(guard, await token())).status).toBe(200);
    }
    expect(fetches).toBe(6);
    const empty = jwt({ ...common, jwks: url, runtime });
    expect((await ask(empty, await token())).status).toBe(503);
    expect((await ask(empty, await token())).status).toBe(503);
    expect(fetches).toBe(7);
  });

  it('rule 25: claims go on in headers that nobody else can set', async () => {
    const runtime = testRuntime();
    const guard = jwt({
      ...common,
      secret,
      runtime,
      optional: true,
      forward: { 'x-user-id': 'sub', 'x-name': 'name' },
    });
    const spoofed = { 'x-user-id': 'eve', x_user_id: 'eve', 'x-name': 'eve' };
    const { seen } = await ask(guard, `Bearer ${await hs(claims(runtime, { name: 'Zoë\r\n' }))}`, spoofed);
    expect(seen?.headers.raw.join()).not.toContain('eve');
    expect(seen?.headers.get('x-user-id')).toBe('ann');
    expect(seen?.headers.get('x-name')).toBe('Zo%C3%AB%0D%0A');
    const anonymous = await ask(guard, undefined, spoofed);
    expect([anonymous.status, anonymous.seen?.principal]).toEqual([200, undefined]);
    expect(anonymous.seen?.headers.raw.join()).not.toContain('eve');
    expect((await ask(guard, 'Bearer nonsense')).status).toBe(401);
  });

  it('asks what the claims allow', async () => {
    const runtime = testRuntime();
    const guard = jwt({
      ...common,
      secret,
      runtime,
      allows: ({ role }, { path }) => role === 'admin' && path === '/',
    });
    const admin = await ask(guard, `Bearer ${await hs(claims(runtime, { role: 'admin' }))}`);
    const other = await ask(guard, `Bearer ${await hs(claims(runtime))}`);
    expect([admin.status, other.status, other.challenge]).toEqual([
      200,
      403,
      'Bearer error="insufficient_scope"',
    ]);
  });

  it.each<[Partial<JwtOptions>, string]>([
    [{}, 'jwks'],
    [{ secret, jwks: { keys: [] } }, 'jwks'],
    [{ secret: 'short' }, 'secret'],
    [{ secret, algorithms: ['none'] }, 'algorithms.0'],
    [{ secret, algorithms: ['RS256'] }, 'algorithms.0'],
    [{ jwks: { keys: [] }, algorithms: ['ES256', 'HS256'] }, 'algorithms.1'],
    [{ jwks: 'file:///etc/passwd' }, 'jwks'],
    [{ secret, issuer: '' }, 'issuer'],
    [{ secret, audience: [] }, 'audience'],
  ])('refuses the options %o', (options, field) => {
    expect(() => jwt({ ...common, ...options })).toThrow(InvalidOptionsError);
    expect(() => jwt({ ...common, ...options })).toThrow(field);
  });

  it('throws problems, which carry their headers', () => {
    const guard = jwt({ ...common, secret });
    expect(() => guard({ headers: { get: () => undefined, delete() {} } } as never)).toThrow(ProblemError);
  });
});
