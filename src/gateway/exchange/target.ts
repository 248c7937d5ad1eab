import type { ServiceInstance } from '../../ports/registry-backend.ts';

/** Where a request goes: a service by name, or a fixed origin. */
export type Target =
  | {
      readonly service: string;
      /** Accepts the instances that may be picked; undefined for all. The same function every time. */
      readonly only?: ((instance: ServiceInstance) => boolean) | undefined;
      readonly origin?: undefined;
    }
  | { readonly origin: string; readonly service?: undefined };
