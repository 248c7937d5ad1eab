/** Where a client is sent instead of being served. */
import { InvalidOptionsError, ProblemError } from '../../core/errors.ts';
import { describe, z } from '../../core/options.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { canonicalPath, fillTemplate } from '../http/path.ts';
import type { RedirectOptions } from './route-types.ts';

/** A redirect, checked. */
export interface Redirect {
  readonly status: number;
  /** The new address. */
  readonly locate: (exchange: Exchange) => string;
}

const redirectObject = z.strictObject({
  to: z.string().optional(),
  scheme: z.enum(['http', 'https']).optional(),
  port: z.int().min(1).max(65_535).optional(),
  status: z.literal([301, 302, 303, 307, 308]).optional(),
});

/** The option `redirect`. */
export const redirectSchema: z.ZodType<string | RedirectOptions> = z.union([z.string(), redirectObject]);

const defaultPorts = { http: 80, https: 443 } as const;

/**
 * Make a redirect ready. The authority is the route's or the request's own, never anything that a value was filled in.
 *
 * @throws InvalidOptionsError when it leads nowhere, or back to where it came from.
 */
export function compileRedirect(given: string | RedirectOptions): Redirect {
  const options: RedirectOptions = typeof given === 'string' ? { to: given } : given;
  const { to, scheme, port, status = 308 } = options;
  if (to === undefined && scheme === undefined && port === undefined) {
    throw invalid('nothing', 'at least one of `to`, `scheme` and `port`');
  }
  const { origin, path } = to === undefined ? { origin: '', path: undefined } : splitAddress(to);
  if (origin !== '' && (scheme !== undefined || port !== undefined)) {
    throw invalid(describe(to), '`scheme` and `port` only where `to` is a path');
  }
  return {
    status,
    locate: (exchange) => {
      const start = scheme === undefined && port === undefined ? origin : ownOrigin(exchange, scheme, port);
      return `${start}${pathOf(exchange, path)}`;
    },
  };
}

function splitAddress(to: string): { readonly origin: string; readonly path: string } {
  const parts = /^(https?:\/\/[\w.-]+(?::\d{1,5})?|https?:\/\/\[[0-9A-Fa-f:.]+\](?::\d{1,5})?)?(\/.*)?$/.exec(
    to,
  );
  const path = parts?.[2] ?? '/';
  if (parts === null || to === '' || path.startsWith('//') || path.includes('#')) {
    throw invalid(describe(to), "a path such as '/new/{id}', or one behind an origin");
  }
  return { origin: parts[1] ?? '', path };
}

function ownOrigin(exchange: Exchange, scheme = exchange.scheme, port?: number): string {
  if (exchange.host === '') throw new ProblemError(400, 'the request has no Host to be sent to');
  const asked = /:(\d+)$/.exec(exchange.authority)?.[1];
  const kept = scheme === exchange.scheme && asked !== undefined ? Number(asked) : undefined;
  const given = port ?? kept ?? defaultPorts[scheme];
  return `${scheme}://${exchange.host}${given === defaultPorts[scheme] ? '' : `:${given}`}`;
}

/** Path and query. */
function pathOf(exchange: Exchange, template: string | undefined): string {
  const filled = template === undefined ? '' : fillTemplate(template, (name) => exchange.params[name]);
  const mark = filled.indexOf('?');
  const path =
    template === undefined ? exchange.path : canonicalPath(mark === -1 ? filled : filled.slice(0, mark));
  const queries = [mark === -1 ? '' : filled.slice(mark + 1), plainQuery(exchange.query)];
  const query = queries.filter((part) => part !== '').join('&');
  return query === '' ? path : `${path}?${query}`;
}

/** A query as it may stand in a header: whatever is not visible ASCII is escaped. */
function plainQuery(query: string): string {
  return query.replace(/[^\x21-\x7e]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0').slice(-2)}`;
  });
}

function invalid(received: string, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError('RequestRouter.route', [{ field: 'redirect', received, accepts }]);
}
