import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { CircuitStore } from '../../ports/circuit-store.ts';
import { CircuitNotices } from '../internal/circuit-notices.ts';

/** Options of {@link memoryCircuitStore}. */
export interface MemoryCircuitStoreOptions {
  /** Clock to forget by. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({ runtime: runtimeOption() });

/**
 * Tells notices between breakers of this process: for tests, and for parts of a process that have breakers of their
 * own. Share one store between them.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function memoryCircuitStore(options: MemoryCircuitStoreOptions = {}): CircuitStore {
  const { runtime } = parseOptions('memoryCircuitStore', optionsSchema, options);
  const { clock } = resolveRuntime(runtime);
  const notices = new CircuitNotices();
  return {
    name: 'memory',
    async publish(notice) {
      notices.open(clock.wallTime());
      notices.keep(notice);
      // After the publisher has gone on, as it would be over a network.
      await Promise.resolve();
      notices.tell(notice);
    },
    watch: (listener) => notices.watch(listener, clock.wallTime()),
    close: async () => notices.silence(),
  };
}
