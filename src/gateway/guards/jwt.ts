/** JSON Web Tokens. The only file that knows jose. */
import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { type Clock, dateAt } from '../../core/clock.ts';
import type { Duration } from '../../core/duration.ts';
import { InvalidOptionsError, ProblemError } from '../../core/errors.ts';
import {
  describe,
  durationOption,
  functionOption,
  parseOptions,
  runtimeOption,
  z,
} from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';
import { RemoteKeySet } from './key-set.ts';

/** Options of {@link jwt}. Exactly one of `jwks` and `secret`. */
export interface JwtOptions {
  /** Who must have issued the token (`iss`). */
  readonly issuer: string | readonly string[];
  /** For whom it must have been issued (`aud`). */
  readonly audience: string | readonly string[];
  /** Public keys: the URL of a JWKS, or a JWKS. */
  readonly jwks?: string | JsonWebKeySet | undefined;
  /** The secret of an HMAC; at least 32 bytes. */
  readonly secret?: string | Uint8Array | undefined;
  /** Signature algorithms that are accepted. Default: RS256, PS256, ES256, EdDSA for keys; HS256 for a secret. */
  readonly algorithms?: readonly string[] | undefined;
  /** How far clocks may differ. Default 5 seconds. */
  readonly clockTolerance?: Duration | undefined;
  /** Least time between two fetches of a JWKS. Default 30 seconds. */
  readonly cooldown?: Duration | undefined;
  /** Age at which a JWKS is fetched again. Default 10 minutes. */
  readonly maxAge?: Duration | undefined;
  /**
   * Headers that tell the upstream who asks: header name → claim, such as `{ 'x-user-id': 'sub' }`. Whatever the client
   * sent under these names is removed first; name them in the router's `identityHeaders` too, for routes without this
   * guard. Default none.
   */
  readonly forward?: Readonly<Record<string, string>> | undefined;
  /** Whether a request without a token may pass, with no principal. A wrong token is refused all the same. Default false. */
  readonly optional?: boolean | undefined;
  /** Whether these claims allow this exchange; if not, the answer is 403. Default: they do. */
  readonly allows?: ((claims: Readonly<Record<string, unknown>>, exchange: Exchange) => boolean) | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A JSON Web Key Set, RFC 7517. */
export interface JsonWebKeySet {
  readonly keys: readonly object[];
}

const asymmetric = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const symmetric = ['HS256', 'HS384', 'HS512'];

/** A longer token is not looked at: verifying costs what the sender decides. */
const longestToken = 8_192;

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const optionsSchema = z.strictObject({
  issuer: names,
  audience: names,
  jwks: z.union([z.url({ protocol: /^https?$/ }), z.object({ keys: z.array(z.looseObject({})) })]).optional(),
  secret: z.union([z.string(), z.instanceof(Uint8Array)]).optional(),
  algorithms: z.array(z.string()).min(1).optional(),
  clockTolerance: durationOption().default(5_000),
  cooldown: durationOption(1).default(30_000),
  maxAge: durationOption(1).default(600_000),
  forward: z.record(z.string().regex(/^[\w-]+$/, { error: 'the name of a header' }), z.string()).default({}),
  optional: z.boolean().default(false),
  allows: functionOption<NonNullable<JwtOptions['allows']>>().optional(),
  runtime: runtimeOption(),
});

type Verify = (token: string) => Promise<JWTPayload>;

/**
 * A guard that lets pass who carries a valid token (`Authorization: Bearer …`), and sets `exchange.principal`. Issuer,
 * audience and expiry are required; `none` is never accepted, nor an HMAC where public keys are expected. Others are
 * refused with 401 and `WWW-Authenticate` (RFC 6750).
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function jwt(options: JwtOptions): Guard {
  const parsed = parseOptions('jwt', optionsSchema, options);
  const { forward, optional, allows } = parsed;
  const verify = verifier(parsed, resolveRuntime(parsed.runtime).clock);
  const headers = Object.entries(forward);
  const admit = (exchange: Exchange, claims: JWTPayload): void => {
    if (allows !== undefined && !allows(claims, exchange)) {
      throw new ProblemError(403, 'the token does not allow this', {
        headers: challenge('insufficient_scope'),
      });
    }
    exchange.principal = { subject: claims.sub ?? '', claims };
    for (const [name, claim] of headers) forwardClaim(exchange, name, claims[claim]);
  };
  return (exchange) => {
    for (const [name] of headers) exchange.headers.delete(name);
    const authorization = exchange.headers.get('authorization');
    if (authorization === undefined) {
      if (optional) return;
      throw new ProblemError(401, 'a token is needed', { headers: challenge() });
    }
    return verify(tokenIn(authorization)).then((claims) => admit(exchange, claims));
  };
}

function tokenIn(authorization: string): string {
  const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > longestToken) throw badToken('it is no bearer token');
  return token;
}

function forwardClaim(exchange: Exchange, name: string, value: unknown): void {
  if (value === undefined || value === null) return;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // Headers carry ASCII; a name such as "Zoë" is escaped rather than refused.
  exchange.headers.set(name, /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text));
}

type ParsedOptions = z.output<typeof optionsSchema>;

function verifier(options: ParsedOptions, clock: Clock): Verify {
  const { issuer, audience, jwks, secret, clockTolerance } = options;
  if ((jwks === undefined) === (secret === undefined)) {
    throw invalid('jwks', jwks === undefined ? 'neither' : 'both', 'either `jwks` or `secret`');
  }
  const checks = (): JWTVerifyOptions => ({
    issuer,
    audience,
    algorithms: algorithmsOf(options),
    requiredClaims: ['exp'],
    clockTolerance: clockTolerance / 1_000,
    currentDate: dateAt(clock.wallTime()),
  });
  algorithmsOf(options);
  if (secret !== undefined) return bySecret(secret, checks);
  if (typeof jwks !== 'string') return byKeys(localKeys('jwks', jwks as JsonWebKeySet), checks);
  return byRemoteKeys(new RemoteKeySet(jwks, options, clock, (keys) => keysOf(keys)), checks);
}

/** Public keys are never tried as an HMAC's secret, nor the other way round: the kinds have separate lists. */
function algorithmsOf({ algorithms, secret }: ParsedOptions): string[] {
  const known = secret === undefined ? asymmetric : symmetric;
  if (algorithms === undefined) {
    return secret === undefined ? ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] : ['HS256'];
  }
  for (const [index, algorithm] of algorithms.entries()) {
    if (!known.includes(algorithm))
      throw invalid(`algorithms.${index}`, describe(algorithm), known.join(' | '));
  }
  return algorithms;
}

function bySecret(secret: string | Uint8Array, checks: () => JWTVerifyOptions): Verify {
  const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
  if (bytes.length < 32)
    throw invalid('secret', `${bytes.length} bytes`, 'at least 32 bytes; a shorter one can be guessed');
  return (token) =>
    jwtVerify(token, bytes, checks()).then(
      ({ payload }) => payload,
      (error) => {
        throw asProblem(error);
      },
    );
}

type Keys = ReturnType<typeof createLocalJWKSet>;

function keysOf(keys: object): Keys {
  return createLocalJWKSet(keys as JSONWebKeySet);
}

function localKeys(field: string, jwks: JsonWebKeySet): Keys {
  try {
    return keysOf(jwks);
  } catch (error) {
    throw invalid(field, describe(jwks), `a JSON Web Key Set (${String(error)})`);
  }
}

function byKeys(keys: Keys, checks: () => JWTVerifyOptions): Verify {
  return (token) =>
    jwtVerify(token, keys, checks()).then(
      ({ payload }) => payload,
      (error) => {
        throw asProblem(error);
      },
    );
}

function byRemoteKeys(remote: RemoteKeySet<Keys>, checks: () => JWTVerifyOptions): Verify {
  return async (token) => {
    let keys: Keys;
    try {
      keys = await remote.current();
    } catch (error) {
      throw new ProblemError(503, 'tokens cannot be checked now', { cause: error });
    }
    try {
      return (await jwtVerify(token, keys, checks())).payload;
    } catch (error) {
      // A key that is not known may be a new one.
      const unknown = error instanceof errors.JWKSNoMatchingKey;
      if (!unknown || !(await remote.refresh())) throw asProblem(error);
    }
    return byKeys(await remote.current(), checks)(token);
  };
}

/** A refusal says that a token is bad, and little of why: its holder may not be its owner. */
function asProblem(error: unknown): ProblemError {
  if (error instanceof errors.JWTExpired) return badToken('it has expired', error);
  return badToken('it is not valid here', error);
}

function badToken(why: string, cause?: unknown): ProblemError {
  return new ProblemError(401, `the token is not accepted: ${why}`, {
    cause,
    headers: challenge('invalid_token'),
  });
}

function challenge(error?: string): Readonly<Record<string, string>> {
  return { 'www-authenticate': error === undefined ? 'Bearer' : `Bearer error="${error}"` };
}

function invalid(field: string, received: string, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError('jwt', [{ field, received, accepts }]);
}
