import { functionOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';

/** Options of {@link requestId}. */
export interface RequestIdOptions {
  /** The header field that carries it, both ways. Default `X-Request-Id`; access logs look for that one. */
  readonly header?: string | undefined;
  /**
   * Whose ids are kept: those of the router's `trustedProxies` (`trusted`, the default), everyone's (`always`) or
   * nobody's (`never`). Anyone else's is replaced, so that nobody can give two requests the same one.
   */
  readonly accept?: 'trusted' | 'always' | 'never' | undefined;
  /** Makes an id. Default: a UUID. */
  readonly generate?: ((exchange: Exchange) => string) | undefined;
  /** Whether the answer carries it too. Default true. */
  readonly respond?: boolean | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  header: z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'the name of a header' })
    .default('X-Request-Id'),
  accept: z.enum(['trusted', 'always', 'never']).default('trusted'),
  generate: functionOption<(exchange: Exchange) => string>().optional(),
  respond: z.boolean().default(true),
  runtime: runtimeOption(),
});

/** What may be an id: it stands in headers, logs and file names of others. */
const acceptable = /^[\w.:+/=@-]{1,128}$/;

/**
 * A guard that gives each request an id: the one that it came with, if its sender's word counts and it is one id of at
 * most 128 letters, digits and `. _ : + / = @ -`; otherwise a new one. Upstreams get it, and so does the client.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function requestId(options: RequestIdOptions = {}): Guard {
  const { header, accept, generate, respond, runtime } = parseOptions('requestId', optionsSchema, options);
  const { id } = resolveRuntime(runtime);
  return (exchange) => {
    const { headers, response, trusted } = exchange;
    const counts = accept === 'always' || (accept === 'trusted' && trusted);
    const given = counts ? headers.get(header) : undefined;
    const chosen = given !== undefined && acceptable.test(given) ? given : (generate?.(exchange) ?? id());
    headers.set(header, chosen);
    if (respond) response.set(header, chosen);
  };
}
