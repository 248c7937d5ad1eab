import type { CliIo } from '../../src/cli/io.ts';
import { resolveRuntime } from '../../src/core/runtime.ts';

/** Surroundings for the command that remember what it wrote. */
export interface TestIo extends CliIo {
  readonly written: { out: string; error: string };
  /** What a SIGTERM does. */
  signal(): void;
}

export function testIo(): TestIo {
  const written = { out: '', error: '' };
  const listeners = new Set<() => void>();
  return {
    written,
    out: (text) => {
      written.out += text;
    },
    error: (text) => {
      written.error += text;
    },
    onSignal: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    exit: () => {},
    runtime: resolveRuntime(),
    signal: () => {
      for (const listener of listeners) listener();
    },
  };
}
