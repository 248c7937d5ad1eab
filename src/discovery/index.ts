export type { Balancer, BalanceStrategy, Endpoint } from './balance/balancer.ts';
export { type P2cOptions, p2c } from './balance/p2c.ts';
export { roundRobin } from './balance/round-robin.ts';
export type { ServiceRegistryEvents } from './context.ts';
export type { InstanceOptions } from './instance.ts';
export type { Registration, RegistrationState } from './lease.ts';
export {
  type InstanceWork,
  Service,
  type ServiceRunOptions,
  type WhenAvailableOptions,
} from './service.ts';
export { ServiceRegistry, type ServiceRegistryOptions } from './service-registry.ts';
export type { SetDifference, Snapshot } from './snapshot.ts';
