export {
  type ConfigSourceConformanceOptions,
  type ConfigSourceHarness,
  configSourceConformance,
} from './config-source.ts';
export {
  type RateStoreConformanceOptions,
  type RateStoreHarness,
  rateStoreConformance,
} from './rate-store.ts';
export { type RegistryBackendConformanceOptions, registryBackendConformance } from './registry-backend.ts';
export type { RegistryBackendHarness } from './registry-backend-stage.ts';
export type { Exceptions, TestApi } from './test-api.ts';
