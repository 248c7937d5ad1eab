export {
  type CircuitStoreConformanceOptions,
  type CircuitStoreHarness,
  circuitStoreConformance,
} from './circuit-store.ts';
export {
  type ConfigSourceConformanceOptions,
  type ConfigSourceHarness,
  configSourceConformance,
} from './config-source.ts';
export {
  type MessageBusConformanceOptions,
  type MessageBusHarness,
  messageBusConformance,
} from './message-bus.ts';
export {
  type RateStoreConformanceOptions,
  type RateStoreHarness,
  rateStoreConformance,
} from './rate-store.ts';
export { type RegistryBackendConformanceOptions, registryBackendConformance } from './registry-backend.ts';
export type { RegistryBackendHarness } from './registry-backend-stage.ts';
export { type SagaBarrierConformanceOptions, sagaBarrierConformance } from './saga-barrier.ts';
export type { SagaBarrierHarness } from './saga-barrier-stage.ts';
export { type SagaStoreConformanceOptions, sagaStoreConformance } from './saga-store.ts';
export type { SagaStoreHarness } from './saga-store-harness.ts';
export type { Exceptions, TestApi } from './test-api.ts';
