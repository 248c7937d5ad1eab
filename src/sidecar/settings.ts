import {
  durationOption,
  functionOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import type { RegistryBackend } from '../ports/registry-backend.ts';
import type { HealthThresholds } from './health.ts';
import type { SidecarOptions } from './options.ts';
import type { RestartLimits } from './restart-policy.ts';
import type { SidecarPolicies } from './service-policies.ts';

/** `AppOptions` with every default filled in and every duration in milliseconds. */
export interface AppSettings {
  readonly name: string;
  readonly port: number;
  readonly host: string;
  readonly command?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly directory?: string | undefined;
  readonly health: HealthThresholds & {
    readonly path?: string | undefined;
    readonly interval: number;
    readonly timeout: number;
  };
  readonly startTimeout: number;
  readonly stopTimeout: number;
  readonly restart: RestartLimits;
}

/** Where to listen. */
export interface ListenerSettings {
  readonly port: number;
  readonly host: string;
}

/** `SidecarOptions` with every default filled in and every duration in milliseconds. */
export interface SidecarSettings {
  readonly app: AppSettings;
  readonly registry: RegistryBackend;
  readonly inbound: ListenerSettings & {
    readonly advertise?: string | undefined;
    readonly trustedProxies: readonly string[];
    readonly timeout: number;
  };
  readonly outbound: ListenerSettings;
  readonly admin: ListenerSettings;
  readonly policies: SidecarPolicies;
  readonly services: Readonly<Record<string, SidecarPolicies>>;
  readonly accessLog: boolean | ((line: string) => void);
  readonly sampling: number;
  readonly ttl: number;
  readonly drainDelay: number;
  readonly drainTimeout: number;
  readonly runtime?: Partial<Runtime> | undefined;
}

const port = z.int().min(0).max(65_535);
const listener = { port: port.default(0), host: z.string().min(1).default('127.0.0.1') };

const healthSchema = z.preprocess(
  (value) => (typeof value === 'string' ? { path: value } : value),
  z
    .strictObject({
      path: z
        .string()
        .regex(/^\/[\x21-\x7e]*$/, { error: "a path such as '/healthz'" })
        .optional(),
      interval: durationOption(10).default(1_000),
      timeout: durationOption(1).default(1_000),
      healthyAfter: z.int().min(1).default(1),
      unhealthyAfter: z.int().min(1).default(3),
    })
    .prefault({}),
);

const appSchema = z.strictObject({
  name: nameOption(),
  port: port.min(1),
  host: z.string().min(1).default('127.0.0.1'),
  command: z.array(z.string()).min(1).optional(),
  env: z.record(z.string(), z.string()).default({}),
  directory: z.string().optional(),
  health: healthSchema,
  startTimeout: durationOption(1).default(30_000),
  stopTimeout: durationOption().default(10_000),
  restart: z
    .strictObject({
      maxCrashes: z.int().min(1).default(5),
      window: durationOption(1).default(60_000),
      minDelay: durationOption().default(200),
      maxDelay: durationOption().default(10_000),
    })
    .prefault({}),
});

/** The policies themselves check what is in these. */
const policiesSchema = z.strictObject({
  timeout: z.custom<SidecarPolicies['timeout']>().optional(),
  retry: z.custom<SidecarPolicies['retry']>().optional(),
  breaker: z.custom<SidecarPolicies['breaker']>().optional(),
});

const optionsSchema = z.strictObject({
  app: appSchema,
  registry: methodsOption<RegistryBackend>(
    'a registry backend',
    'register',
    'list',
    'watch',
    'services',
    'close',
  ),
  inbound: z
    .strictObject({
      ...listener,
      advertise: z.string().min(1).optional(),
      trustedProxies: z.array(z.string()).default([]),
      timeout: durationOption().default(60_000),
    })
    .prefault({}),
  outbound: z.strictObject(listener).prefault({}),
  admin: z.strictObject(listener).prefault({}),
  policies: policiesSchema.default({}),
  services: z.record(nameOption(), policiesSchema).default({}),
  accessLog: z.union([z.boolean(), functionOption<(line: string) => void>()]).default(false),
  sampling: z.number().min(0).max(1).default(1),
  ttl: durationOption(100).default(10_000),
  drainDelay: durationOption().default(500),
  drainTimeout: durationOption().default(30_000),
  runtime: runtimeOption(),
});

/** @throws InvalidOptionsError naming each field. */
export function parseSidecarOptions(options: SidecarOptions): SidecarSettings {
  return parseOptions('Sidecar', optionsSchema, options);
}
