export type { ConfigChange, ConfigEvents, ConfigLoadError, ConfigState } from './client-events.ts';
export type { ConfigClientOptions } from './client-options.ts';
export { ConfigClient } from './config-client.ts';
export type { ConfigContribution, ConfigExplanation } from './explain.ts';
export { Secret, type SecretSchema, secret } from './secret.ts';
export type { ConfigSourceState } from './source-feed.ts';
