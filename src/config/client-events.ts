/** What users see of the client: events and state. */
import type { ConfigInvalidError, ConfigIssue, ConfigSourceError } from '../core/errors.ts';
import type { ConfigSourceState } from './source-feed.ts';

/** One value that changed. Undefined stands for absent; secrets in it are replaced by `[secret]`. */
export interface ConfigChange {
  /** Dotted path, such as `db.poolSize`. */
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Why a configuration was not accepted. */
export type ConfigLoadError = ConfigInvalidError | ConfigSourceError;

/** Events of {@link ConfigClient}. */
export interface ConfigEvents {
  /** Another configuration is in force. */
  readonly changed: {
    /** The version now in force. */
    readonly version: number;
    /** What differs, as near to the leaves as both sides have objects; an array is one value. */
    readonly changes: readonly ConfigChange[];
  };
  /**
   * A new configuration was refused, or a source could not be loaded; the last good one stays. Not repeated while the
   * reason stays the same.
   */
  readonly rejected: {
    /** The version that stays in force. */
    readonly version: number;
    /** Each with path, message and where the value stands; a source that failed is one with the path `(root)`. */
    readonly issues: readonly ConfigIssue[];
    readonly error: ConfigLoadError;
  };
  /** After a rejection everything is acceptable again, with or without a change. */
  readonly recovered: { readonly version: number };
  /** A source's watch broke; the source is loaded whenever the watch is tried again. */
  readonly interrupted: {
    /** The source's name. */
    readonly source: string;
    readonly error: ConfigSourceError;
    /** Milliseconds until it is watched again. */
    readonly retryIn: number;
  };
}

/** State of {@link ConfigClient}. */
export interface ConfigState {
  readonly environment: string;
  /** 0 before the first configuration, 1 for it, one more for each that took its place. */
  readonly version: number;
  /** Wall time of when everything was last loaded and accepted, in milliseconds since 1970. */
  readonly loadedAt: number | undefined;
  /** Whether the newest that the sources hold was refused or could not be loaded, so that an older one is in force. */
  readonly stale: boolean;
  /** Why it is stale. */
  readonly lastError: ConfigLoadError | undefined;
  readonly sources: readonly ConfigSourceState[];
}
