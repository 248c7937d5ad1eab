import type { Duration } from '../../core/duration.ts';
import { InvalidOptionsError, ProblemError } from '../../core/errors.ts';
import { durationOption, functionOption, parseOptions, z } from '../../core/options.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';

/** Options of {@link cors}. */
export interface CorsOptions {
  /** Which pages may read answers: origins such as `https://shop.example`, a function of the origin, or `'*'`. */
  readonly origins: '*' | readonly string[] | ((origin: string) => boolean);
  /** Methods that pages may use. Default GET, HEAD, POST, PUT, PATCH, DELETE. */
  readonly methods?: readonly string[] | undefined;
  /** Request headers that pages may send, besides those that are always allowed. Default `content-type`, `authorization`. */
  readonly headers?: readonly string[] | undefined;
  /** Response headers that pages may read, besides those that always can. Default none. */
  readonly exposed?: readonly string[] | undefined;
  /** Whether cookies and other credentials may come along. Not with `'*'`. Default false. */
  readonly credentials?: boolean | undefined;
  /** How long a browser may remember what it was allowed. Default 10 minutes. */
  readonly maxAge?: Duration | undefined;
}

const token = z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'a name without spaces' });

const origin = z.string().refine((text) => URL.canParse(text) && new URL(text).origin === text, {
  error: "an origin without a slash at its end, such as 'https://shop.example'",
});

const optionsSchema = z.strictObject({
  origins: z.union([z.literal('*'), z.array(origin), functionOption<(origin: string) => boolean>()]),
  methods: z.array(token).default(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
  headers: z.array(token).default(['content-type', 'authorization']),
  exposed: z.array(token).default([]),
  credentials: z.boolean().default(false),
  maxAge: durationOption().default(600_000),
});

/**
 * A guard that lets web pages of other origins use the routes behind it (the CORS protocol of the Fetch standard). It
 * answers preflights itself, so put it before guards that ask for a token. Browsers do not apply that protocol to
 * WebSockets, whose cookies come along from any page: those of an origin that is not allowed are refused with 403.
 *
 * @throws InvalidOptionsError when an option is not acceptable, such as credentials for every origin.
 */
export function cors(options: CorsOptions): Guard {
  const parsed = parseOptions('cors', optionsSchema, options);
  const { origins, credentials } = parsed;
  if (credentials && origins === '*') {
    throw new InvalidOptionsError('cors', [
      {
        field: 'credentials',
        received: 'true',
        accepts: "false when origins is '*'; otherwise name the origins",
      },
    ]);
  }
  const allows = originTest(origins);
  const answerPreflight = preflight(parsed);
  const exposed = parsed.exposed.join(', ');
  return (exchange) => {
    const { headers, response, method } = exchange;
    // Caches must keep apart what depends on who asked.
    if (origins !== '*') response.append('vary', 'Origin');
    const asking = headers.get('origin');
    const allowed = asking !== undefined && allows(asking);
    // What an upstream allows by itself would walk around what is allowed here.
    for (const name of permissions) response.remove(name);
    if (allowed) {
      response.set('access-control-allow-origin', origins === '*' ? '*' : asking);
      if (credentials) response.set('access-control-allow-credentials', 'true');
      if (exposed !== '') response.set('access-control-expose-headers', exposed);
    }
    if (asking !== undefined && !allowed && headers.has('upgrade') && !isOwn(asking, exchange)) {
      throw new ProblemError(403, 'pages of this origin may not open a connection here');
    }
    const isPreflight = method === 'OPTIONS' && headers.has('access-control-request-method');
    return isPreflight && asking !== undefined ? answerPreflight(allowed) : undefined;
  };
}

/** Whether a page asks the host that it came from. */
function isOwn(asking: string, { authority, scheme }: Exchange): boolean {
  return asking === `${scheme}://${authority.toLowerCase()}`;
}

/** The fields by which an answer lets a page read it. */
const permissions = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
] as const;

function originTest(origins: CorsOptions['origins']): (origin: string) => boolean {
  if (origins === '*') return () => true;
  if (typeof origins === 'function') return origins;
  const known = new Set(origins);
  return (asking) => known.has(asking);
}

/** The answer to a preflight; without any permission when the origin has none. */
function preflight(options: {
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly maxAge: number;
}): (allowed: boolean) => Response {
  const permission = {
    'access-control-allow-methods': options.methods.join(', '),
    'access-control-allow-headers': options.headers.join(', '),
    'access-control-max-age': String(Math.floor(options.maxAge / 1_000)),
  };
  return (allowed) => new Response(null, { status: 204, headers: allowed ? permission : {} });
}
