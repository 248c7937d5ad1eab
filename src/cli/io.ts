import type { Unsubscribe } from '../core/emitter.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

/** What the command line has of its surroundings, so that a test may stand in for them. */
export interface CliIo {
  /** Writes to standard output: what was asked for. */
  readonly out: (text: string) => void;
  /** Writes to standard error: what a person should know. */
  readonly error: (text: string) => void;
  /** Calls the listener at each SIGTERM and SIGINT. */
  readonly onSignal: (listener: (signal: 'SIGTERM' | 'SIGINT') => void) => Unsubscribe;
  /** Ends the process at once; for a second signal. */
  readonly exit: (code: number) => void;
  readonly runtime: Runtime;
}

/** The process's own. */
export function systemIo(): CliIo {
  // A reader that went away (`| head`) must not crash a sidecar that others rely on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    onSignal(listener) {
      process.on('SIGTERM', listener);
      process.on('SIGINT', listener);
      return () => {
        process.off('SIGTERM', listener);
        process.off('SIGINT', listener);
      };
    },
    exit: (code) => process.exit(code),
    runtime: resolveRuntime(),
  };
}
