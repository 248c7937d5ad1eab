import type { Duration } from '../core/duration.ts';
import type { Runtime } from '../core/runtime.ts';
import type { RegistryBackend } from '../ports/registry-backend.ts';
import type { SidecarPolicies } from './service-policies.ts';

/** How the app is asked whether it is healthy. */
export interface AppHealthOptions {
  /** Answers a GET with a status below 400 when healthy. Default: a connection to the port is enough. */
  readonly path?: string | undefined;
  /** Time between two questions while the app is up. Default `1s`; a starting app is asked every 200 ms. */
  readonly interval?: Duration | undefined;
  /** How long one answer may take. Default `1s`. */
  readonly timeout?: Duration | undefined;
  /** Good answers in a row that make it healthy. Default 1. */
  readonly healthyAfter?: number | undefined;
  /** Bad answers in a row that make it unhealthy. Default 3. */
  readonly unhealthyAfter?: number | undefined;
}

/** How a crashed app is started again. */
export interface RestartOptions {
  /** Crashes within the window after which the app is given up. Default 5. */
  readonly maxCrashes?: number | undefined;
  /** The window. Default `1m`. */
  readonly window?: Duration | undefined;
  /** Wait after the first crash; doubled at each further one, with jitter. Default `200ms`. */
  readonly minDelay?: Duration | undefined;
  /** Longest wait. Default `10s`. */
  readonly maxDelay?: Duration | undefined;
}

/** The app that the sidecar stands beside. */
export interface AppOptions {
  /** The service's name in the registry. */
  readonly name: string;
  /** Port that the app listens on. */
  readonly port: number;
  /** Address that the app listens on. Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Program and arguments to start it with; no shell reads them. Default: somebody else starts it. */
  readonly command?: readonly string[] | undefined;
  /** Added to the sidecar's own environment, after `PORT` and `HOLDFAST_OUTBOUND`. Default none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Directory to start it in. Default: the sidecar's own. */
  readonly directory?: string | undefined;
  /** How to ask whether it is healthy; a string is the path. Default: whether its port takes a connection. */
  readonly health?: string | AppHealthOptions | undefined;
  /** How long the app may take to be healthy for the first time. Default `30s`. */
  readonly startTimeout?: Duration | undefined;
  /** How long it may take to end after SIGTERM; then SIGKILL. Default `10s`. */
  readonly stopTimeout?: Duration | undefined;
  /** How it is started again after a crash. */
  readonly restart?: RestartOptions | undefined;
}

/** Where to listen. */
export interface ListenerOptions {
  /** Port; 0 lets the system choose. Default 0. */
  readonly port?: number | undefined;
  /** Address. Default `127.0.0.1`. */
  readonly host?: string | undefined;
}

/** Where the sidecar listens for the app, and how others find it there. */
export interface InboundOptions extends ListenerOptions {
  /** Host that others reach it by, as it is registered. Default: `host`; for `0.0.0.0` and `::` this machine's address. */
  readonly advertise?: string | undefined;
  /** Addresses and CIDRs whose X-Forwarded-* headers are believed, such as the gateway's. Default none. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** How long the app may take until its answer's headers are there; 0 for no limit. Default `60s`. */
  readonly timeout?: Duration | undefined;
}

/** Options of the sidecar. */
export interface SidecarOptions {
  readonly app: AppOptions;
  /** Where the app is registered, and where the services that it calls are found. Closed when the sidecar stops. */
  readonly registry: RegistryBackend;
  /** The listener in front of the app. */
  readonly inbound?: InboundOptions | undefined;
  /** The listener that the app calls other services through. Keep it on loopback. */
  readonly outbound?: ListenerOptions | undefined;
  /** The listener with `/healthz`, `/readyz` and `/metrics`. */
  readonly admin?: ListenerOptions | undefined;
  /** How calls through the outbound listener are protected. */
  readonly policies?: SidecarPolicies | undefined;
  /** Other policies for single services, by name; each takes the place of that part of `policies`. */
  readonly services?: Readonly<Record<string, SidecarPolicies>> | undefined;
  /** Write the access log, one line of JSON a request: to standard output, or to a function. Default false. */
  readonly accessLog?: boolean | ((line: string) => void) | undefined;
  /** Share of new traces that are marked as sampled, 0 to 1; a trace that comes in keeps its mark. Default 1. */
  readonly sampling?: number | undefined;
  /** How long the registration lives when the sidecar dies. Default `10s`. */
  readonly ttl?: Duration | undefined;
  /** How long to go on taking requests after deregistering, so that others hear of it first. Default `500ms`. */
  readonly drainDelay?: Duration | undefined;
  /** How long requests under way may take to finish when the sidecar stops; then they are broken off. Default `30s`. */
  readonly drainTimeout?: Duration | undefined;
  /** Clock, randomness, ids and telemetry; the sidecar's own metrics come on top. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}
