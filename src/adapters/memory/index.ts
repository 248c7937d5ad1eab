export { type MemoryBusOptions, memoryBus } from './bus.ts';
export { type MemoryCircuitStoreOptions, memoryCircuitStore } from './circuit-store.ts';
export { type MemoryConfig, type MemoryConfigOptions, memoryConfig } from './config.ts';
export { type MemoryRateStoreOptions, memoryRateStore } from './rate-store.ts';
export { type MemoryRegistry, type MemoryRegistryOptions, memoryRegistry } from './registry.ts';
export {
  type MemorySagaBarrierOptions,
  type MemoryTransaction,
  memorySagaBarrier,
} from './saga-barrier.ts';
export { type MemorySagaStoreOptions, memorySagaStore } from './saga-store.ts';
