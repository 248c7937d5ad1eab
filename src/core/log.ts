import debug from 'debug';
import { messageOf } from './holdfast-error.ts';

/** Writes one debug line, printf style. Does nothing, cheaply, unless its namespace is on in `DEBUG`. */
export type DebugLog = (format: string, ...values: unknown[]) => void;

/** A debug log under the namespace `holdfast:<area>`; people turn it on with `DEBUG=holdfast:*`. */
export function debugLog(area: string): DebugLog {
  return debug(`holdfast:${area}`);
}

/**
 * Report a fault in the user's own code (a listener, a predicate) that must not break the call it happened in:
 * as a process warning, which Node prints to stderr.
 */
export function warnOf(what: string, error: unknown): void {
  process.emitWarning(`${what}: ${stackOf(error) ?? messageOf(error)}`, { type: 'HoldfastWarning' });
}

function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error && error.stack ? String(error.stack) : undefined;
  } catch {
    return undefined;
  }
}
