import type { CliIo } from '../../src/cli/io.ts';
import { resolveRuntime } from '../../src/core/runtime.ts';

/** Surroundings for the command that remember what it wrote. */
export interface TestIo extends CliIo {
  readonly written: { out: string; error: string };
  signal(name: 'SIGTERM' | 'SIGINT'): void;
}

export function testIo(): TestIo {
  const written = { out: '', error: '' };
  const listeners = new Set<(signal: 'SIGTERM' | 'SIGINT') => void>();
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
    signal: (name) => {
      for (const listener of listeners) listener(name);
    },
  };
}
