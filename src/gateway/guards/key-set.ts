import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/holdfast-error.ts';
import { parseJson } from '../../core/json.ts';
import { debugLog } from '../../core/log.ts';

const log = debugLog('jwt');

/** A key set is small; whatever is longer than this is none. */
const longestKeySet = 1_048_576;

/** How long a fetch of keys may take, in milliseconds. */
const fetchTimeout = 5_000;

/** Options of {@link RemoteKeySet}. */
export interface RemoteKeySetOptions {
  /** Least time between two fetches, in milliseconds, whether or not they succeed. */
  readonly cooldown: number;
  /** Age in milliseconds after which keys are fetched again. */
  readonly maxAge: number;
}

/**
 * The keys at a URL. However many tokens name keys that are not known, they are fetched once per cooldown and once at
 * a time; and when they cannot be fetched, those that are known stay in use.
 */
export class RemoteKeySet<T> {
  readonly #url: string;
  readonly #parse: (keys: object) => T;
  readonly #options: RemoteKeySetOptions;
  readonly #clock: Clock;
  #keys: T | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;
  #failure: unknown;

  /** @param parse makes keys of the JSON object; throws when they are none. */
  constructor(url: string, options: RemoteKeySetOptions, clock: Clock, parse: (keys: object) => T) {
    this.#url = url;
    this.#options = options;
    this.#clock = clock;
    this.#parse = parse;
  }

  /** The keys: those that are known, fetched again first when they are too old. @throws when none are known. */
  async current(): Promise<T> {
    const age = this.#clock.now() - this.#fetchedAt;
    if (age > this.#options.maxAge) await this.refresh();
    if (this.#keys === undefined) throw new Error(`no keys: ${messageOf(this.#failure)}`);
    return this.#keys;
  }

  /** Fetch again, unless that was tried a moment ago; says whether there are new keys. Never rejects. */
  async refresh(): Promise<boolean> {
    const before = this.#keys;
    if (this.#fetching === undefined && this.#clock.now() - this.#triedAt >= this.#options.cooldown) {
      this.#triedAt = this.#clock.now();
      this.#fetching = this.#fetch().finally(() => {
        this.#fetching = undefined;
      });
    }
    await this.#fetching;
    return this.#keys !== before;
  }

  async #fetch(): Promise<void> {
    const controller = new AbortController();
    const timer = this.#clock.schedule(fetchTimeout, () => controller.abort(new Error('it took too long')));
    try {
      const response = await fetch(this.#url, {
        headers: { accept: 'application/json' },
        redirect: 'error',
        signal: controller.signal,
      });
      if (!response.ok) throw new Error(`answered ${response.status}`);
      const keys = parseJson(await boundedText(response), 'the key set');
      if (typeof keys !== 'object' || keys === null) throw new Error('it is no key set');
      this.#keys = this.#parse(keys);
      this.#fetchedAt = this.#clock.now();
    } catch (error) {
      this.#failure = error;
      log('keys at %s could not be fetched: %s', this.#url, messageOf(error));
    } finally {
      timer.cancel();
    }
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > longestKeySet) throw new Error('it is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
