export { type MemoryRegistry, type MemoryRegistryOptions, memoryRegistry } from './registry.ts';
