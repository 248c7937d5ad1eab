import type { ConnectionOptions } from 'node:tls';
import { z } from '../../core/options.ts';

/** Whom to trust among upstreams that are called by `https:`, and who to be to them, as `node:tls` takes it. */
export interface UpstreamTls {
  /** Certificates of authorities, in place of the public ones. Default: those of Node. */
  readonly ca?: ConnectionOptions['ca'];
  /** The router's own certificate, for upstreams that want one. Needs `key`. Default: none. */
  readonly cert?: ConnectionOptions['cert'];
  /** The key of `cert`. */
  readonly key?: ConnectionOptions['key'];
}

const pem = z.custom<string | Buffer>(
  (value) => (typeof value === 'string' && value !== '') || (Buffer.isBuffer(value) && value.length > 0),
  { error: 'a certificate or key in PEM, as text or Buffer' },
);

/** Nothing here could turn the check of certificates off: whoever trusts a certificate of its own names it in `ca`. */
export const upstreamTlsSchema: z.ZodType<UpstreamTls> = z
  .strictObject({
    ca: z.union([pem, z.array(pem).min(1)]).optional(),
    cert: pem.optional(),
    key: pem.optional(),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    error: 'both `cert` and `key`, or neither',
  });
