import type { Duration } from '../../core/duration.ts';
import { durationOption, parseOptions, z } from '../../core/options.ts';
import type { Guard } from '../exchange/exchange.ts';

/** How long browsers shall insist on HTTPS. */
export interface StrictTransport {
  /** Default one year. */
  readonly maxAge?: Duration | undefined;
  /** Default true. */
  readonly includeSubDomains?: boolean | undefined;
  /** Ask to be built into browsers, which is hard to take back. Default false. */
  readonly preload?: boolean | undefined;
}

/** Options of {@link securityHeaders}. `false` leaves a field out. */
export interface SecurityHeadersOptions {
  /** `Strict-Transport-Security`, sent over HTTPS only. */
  readonly strictTransport?: StrictTransport | false | undefined;
  /** `X-Content-Type-Options: nosniff`. Default true. */
  readonly noSniff?: boolean | undefined;
  /** `X-Frame-Options`. Default `DENY`. */
  readonly frames?: 'DENY' | 'SAMEORIGIN' | false | undefined;
  /** `Referrer-Policy`. Default `strict-origin-when-cross-origin`. */
  readonly referrer?: string | false | undefined;
  /** `Content-Security-Policy`. Default `frame-ancestors 'none'`; pages usually want one of their own. */
  readonly contentPolicy?: string | false | undefined;
  /** `Cross-Origin-Opener-Policy`. Default `same-origin`. */
  readonly openerPolicy?: string | false | undefined;
  /** `Cross-Origin-Resource-Policy`. Default none, since it would undo what `cors` allows. */
  readonly resourcePolicy?: string | false | undefined;
  /** `Permissions-Policy`. Default none. */
  readonly permissions?: string | false | undefined;
  /** Fields of upstreams that tell what they are made of. Default `Server`, `X-Powered-By`, `X-AspNet-Version`. */
  readonly remove?: readonly string[] | undefined;
  /** Whether these take the place of what an upstream says itself. Default false: an upstream knows its own pages. */
  readonly override?: boolean | undefined;
}

const text = z
  .string()
  .regex(/^[\x20-\x7e]+$/, { error: 'printable ASCII text' })
  .or(z.literal(false));

const optionsSchema = z.strictObject({
  strictTransport: z
    .strictObject({
      maxAge: durationOption(1_000).default(31_536_000_000),
      includeSubDomains: z.boolean().default(true),
      preload: z.boolean().default(false),
    })
    .or(z.literal(false))
    .prefault({}),
  noSniff: z.boolean().default(true),
  frames: z.enum(['DENY', 'SAMEORIGIN']).or(z.literal(false)).default('DENY'),
  referrer: text.default('strict-origin-when-cross-origin'),
  contentPolicy: text.default("frame-ancestors 'none'"),
  openerPolicy: text.default('same-origin'),
  resourcePolicy: text.default(false),
  permissions: text.default(false),
  remove: z.array(z.string()).default(['Server', 'X-Powered-By', 'X-AspNet-Version']),
  override: z.boolean().default(false),
});

type Field = readonly [name: string, value: string];

/**
 * A guard that adds to every answer, also to refusals, the fields by which browsers protect pages, and takes out those
 * that tell what upstreams are made of.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function securityHeaders(options: SecurityHeadersOptions = {}): Guard {
  const parsed = parseOptions('securityHeaders', optionsSchema, options);
  const { strictTransport, remove, override } = parsed;
  const fields: Field[] = [];
  for (const [name, value] of [
    ['X-Content-Type-Options', parsed.noSniff && 'nosniff'],
    ['X-Frame-Options', parsed.frames],
    ['Referrer-Policy', parsed.referrer],
    ['Content-Security-Policy', parsed.contentPolicy],
    ['Cross-Origin-Opener-Policy', parsed.openerPolicy],
    ['Cross-Origin-Resource-Policy', parsed.resourcePolicy],
    ['Permissions-Policy', parsed.permissions],
  ] as const) {
    if (value !== false) fields.push([name, value]);
  }
  const secured = [...fields];
  if (strictTransport !== false)
    secured.push(['Strict-Transport-Security', transportPolicy(strictTransport)]);
  return (exchange) => {
    const own = exchange.scheme === 'https' ? secured : fields;
    exchange.filterAnswer(({ headers }) => {
      for (const name of remove) headers.delete(name);
      for (const [name, value] of own) if (override || !headers.has(name)) headers.set(name, value);
    });
  };
}

function transportPolicy(policy: {
  readonly maxAge: number;
  readonly includeSubDomains: boolean;
  readonly preload: boolean;
}): string {
  const parts = [`max-age=${Math.floor(policy.maxAge / 1_000)}`];
  if (policy.includeSubDomains) parts.push('includeSubDomains');
  if (policy.preload) parts.push('preload');
  return parts.join('; ');
}
