/**
 * The base of the library's errors. `instanceof` compares a brand and the code instead of identity, so that it
 * survives two installed copies of the package.
 */

const brand: symbol = Symbol.for('holdfast.error');

/** Options that every error of the library takes. */
export interface HoldfastErrorOptions {
  /** What made it happen. */
  readonly cause?: unknown;
  /** Whether the same call may succeed if made again later; each class has its own default. */
  readonly retryable?: boolean;
}

/** The base of every error that the library throws by design. */
export class HoldfastError extends Error {
  static readonly code: string = 'HOLDFAST';
  /** Stable name of the kind of failure: what to switch on. Each has a paragraph in `docs/errors.md`. */
  readonly code: string;
  /** Whether the same call may succeed if made again later. `retry` honours `false`. */
  readonly retryable: boolean;

  constructor(message: string, options: HoldfastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = new.target.code;
    this.retryable = options.retryable ?? false;
  }

  /** What `instanceof` asks: the brand and the code decide, not identity. Never throws. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    try {
      if (Object.prototype.isPrototypeOf.call(this.prototype, value)) return true;
      // A user's subclass without a code of its own: ordinary identity is the whole test.
      if (!Object.hasOwn(this, 'code')) return false;
      const error = value as { code?: unknown; [brand]?: unknown };
      return error[brand] === true && (this.code === 'HOLDFAST' || error.code === this.code);
    } catch {
      // A proxy that throws is none of ours.
      return false;
    }
  }
}
Object.defineProperty(HoldfastError.prototype, brand, { value: true });

/** `instanceof` for what anybody may have thrown, such as a revoked proxy. Never throws. */
export function isInstance<T>(value: unknown, type: abstract new (...values: never[]) => T): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** The message of anything that was thrown. Never throws. */
export function messageOf(error: unknown): string {
  try {
    // A message should be a text, but anybody may have put something else there.
    return String(error instanceof Error ? error.message || error.name : error);
  } catch {
    return 'unknown error';
  }
}
