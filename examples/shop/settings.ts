import { ConfigClient, secret } from 'holdfast';
import { envConfig } from 'holdfast/adapters/env';
import { fileConfig } from 'holdfast/adapters/file';
import { z } from 'zod';

const duration = z.custom<`${number}ms` | `${number}s`>(
  (value) => typeof value === 'string' && /^\d+(ms|s)$/.test(value),
  { error: 'a duration such as 400ms or 2s' },
);

/** What the shop's services can be told, and what is refused. */
const Settings = z.strictObject({
  gateway: z.strictObject({
    requestsPerSecond: z.number().int().min(1).max(100_000),
    jwtSecret: secret(),
  }),
  payments: z.strictObject({
    timeout: duration,
    failureRate: z.number().min(0.01).max(1),
    minimumCalls: z.number().int().min(1),
    openFor: duration,
  }),
  sagas: z.strictObject({ lease: duration }),
});

/** The live configuration of one service: YAML by environment, then `SHOP_…` variables. */
export function loadSettings() {
  return new ConfigClient({
    schema: Settings,
    environment: process.env.RUN_ENVIRONMENT ?? 'dev',
    sources: [fileConfig(`${process.env.RUN_CONFIG ?? 'config'}/shop`), envConfig({ prefix: 'SHOP_' })],
  }).start();
}
