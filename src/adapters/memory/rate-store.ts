import { GcraTable } from '../../core/gcra.ts';
import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { RateStore } from '../../ports/rate-store.ts';

/** Options of {@link memoryRateStore}. */
export interface MemoryRateStoreOptions {
  /** How many keys are kept; beyond, those used longest ago are forgotten and full again. Default 100,000. */
  readonly capacity?: number | undefined;
  /** Clock to measure by. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  capacity: z.int().min(1).default(100_000),
  runtime: runtimeOption(),
});

/**
 * Counts the use of rate limits in this process's memory. Share one store to have several guards count together.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function memoryRateStore(options: MemoryRateStoreOptions = {}): RateStore {
  const { capacity, runtime } = parseOptions('memoryRateStore', optionsSchema, options);
  const { clock } = resolveRuntime(runtime);
  const table = new GcraTable(capacity);
  return { name: 'memory', take: (key, rule, cost) => table.take(key, clock.now(), rule, cost) };
}
