import type { Unsubscribe } from '../core/emitter.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';

/** What the command line has of its surroundings, so that a test may stand in for them. */
export interface CliIo {
  /** Writes to standard output: what was asked for. */
  readonly out: (text: string) => void;
  /** Writes to standard error: what a person should know. */
  readonly error: (text: string) => void;
  /** Calls the listener at each SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed). */
  readonly onSignal: (listener: () => void) => Unsubscribe;
  /** Ends the process at once; for a second signal. */
  readonly exit: (code: number) => void;
  readonly runtime: Runtime;
}

const endSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** The process's own. */
export function systemIo(): CliIo {
  // A reader that went away (`| head`) must not crash a sidecar that others rely on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    onSignal(listener) {
      for (const signal of endSignals) process.on(signal, listener);
      return () => {
        for (const signal of endSignals) process.off(signal, listener);
      };
    },
    exit: (code) => process.exit(code),
    runtime: resolveRuntime(),
  };
}
