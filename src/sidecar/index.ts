export type { SidecarStatus } from './admin.ts';
export type { AppExit } from './app-process.ts';
export type {
  AppHealthOptions,
  AppOptions,
  InboundOptions,
  ListenerOptions,
  RestartOptions,
  SidecarOptions,
} from './options.ts';
export type { SidecarPolicies } from './service-policies.ts';
export { type ListenerAddress, Sidecar, type SidecarAddresses, type SidecarEvents } from './sidecar.ts';
