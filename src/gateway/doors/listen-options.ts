import { parseOptions, z } from '../../core/options.ts';
import type { ListenOptions } from './node-server.ts';

/** Whether there is a certificate in it: without one no client could ever connect. */
function hasCertificate(tls: unknown): boolean {
  if (typeof tls !== 'object' || tls === null) return false;
  const { key, cert, pfx, SNICallback } = tls as Record<string, unknown>;
  return (key !== undefined && cert !== undefined) || pfx !== undefined || typeof SNICallback === 'function';
}

const listenSchema = z.strictObject({
  port: z.int().min(0).max(65_535),
  host: z.string().min(1).optional(),
  tls: z
    .custom<NonNullable<ListenOptions['tls']>>(hasCertificate, {
      error: 'an object with `key` and `cert`, `pfx`, or `SNICallback`, as node:tls takes them',
    })
    .optional(),
  workers: z.union([z.int().min(1).max(1_024), z.literal('auto')]).optional(),
  http2: z.boolean().optional(),
});

/**
 * A misspelt `tls` must not end in a server that speaks plain HTTP (CVE-2026-22750).
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function parseListenOptions(options: ListenOptions): ListenOptions {
  return parseOptions('RequestRouter.listen', listenSchema, options);
}
