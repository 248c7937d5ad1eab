import type { Duration } from '../core/duration.ts';
import {
  durationOption,
  methodsOption,
  nameOption,
  parseOptions,
  runtimeOption,
  z,
} from '../core/options.ts';
import type { Runtime } from '../core/runtime.ts';
import { isStandardSchema, type StandardSchema } from '../core/schema.ts';
import type { ConfigSource } from '../ports/config-source.ts';

/** Options of {@link ConfigClient}. */
export interface ConfigClientOptions<T> {
  /** What the configuration must be: a zod schema, or any other Standard Schema. Its result is `current`. */
  readonly schema: StandardSchema<unknown, T>;
  /**
   * Such as `dev`, `qa` or `prod`; sources choose their files or keys by it. There is no default on purpose: a process
   * in production that runs on another environment's values because nothing was set is the worst outcome.
   */
  readonly environment: string;
  /** Lowest first: a later source wins. At least one. */
  readonly sources: readonly ConfigSource[];
  /** For telemetry, where a process has several clients. Default `config`. */
  readonly name?: string | undefined;
  /** Replace `${path}` in texts by the value at that path; `$${` is a literal `${`. Default false. */
  readonly interpolate?: boolean | undefined;
  /** How long to wait after a change for others to come, so that they are taken over as one. Default 50 ms. */
  readonly coalesce?: Duration | undefined;
  /** The longest that one load of one source, or one check by the schema, may take. Default 10 seconds. */
  readonly loadTimeout?: Duration | undefined;
  /** Clock, randomness and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** The options, checked and completed; durations in milliseconds. The user's schema keeps its type elsewhere. */
export interface CheckedClientOptions {
  readonly environment: string;
  readonly sources: readonly ConfigSource[];
  readonly name: string;
  readonly interpolate: boolean;
  readonly coalesce: number;
  readonly loadTimeout: number;
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  schema: z.custom<StandardSchema>(isStandardSchema, { error: 'a Standard Schema, such as z.object({ … })' }),
  environment: nameOption(),
  sources: z
    .array(methodsOption<ConfigSource>("a source, such as fileConfig('config/orders')", 'load'))
    .min(1),
  name: nameOption().default('config'),
  interpolate: z.boolean().default(false),
  coalesce: durationOption().default(50),
  loadTimeout: durationOption(1).default(10_000),
  runtime: runtimeOption(),
});

/** @throws InvalidOptionsError */
export function checkClientOptions(options: unknown): CheckedClientOptions {
  return parseOptions('ConfigClient', optionsSchema, options);
}
