/**
 * By what the workers of a router know that a limit in one of them is a certain limit in another. They run the same
 * program, but not always in the same order, so a limit is known by what it says: its name and its options.
 */
import { createHash } from 'node:crypto';
import { InvalidOptionsError } from '../../core/errors.ts';

/** What a limit says of itself. Functions count by their text. */
export interface NamedLimit {
  readonly name: string;
  readonly limit: unknown;
  readonly per: number;
  readonly burst?: number | undefined;
  readonly key?: unknown;
}

/** The same text for the same name and options, in every process. */
export function limitIdentity({ name, limit, per, burst, key }: NamedLimit): string {
  const said = JSON.stringify([
    name,
    String(limit),
    per,
    burst ?? null,
    key === undefined ? null : String(key),
  ]);
  return createHash('sha256').update(said).digest('base64url').slice(0, 22);
}

/** The limits of a process that have no names. */
export class LimitIdentities {
  readonly #taken: Set<string> = new Set();

  /**
   * The identity of a limit without a name.
   *
   * @throws InvalidOptionsError when there is one like it: the two could not be told apart.
   */
  claim(limit: NamedLimit): string {
    const identity = limitIdentity(limit);
    if (this.#taken.has(identity)) {
      const received = 'no name, as another limit with the same options';
      const accepts = 'a name for each of them, by which the workers of a router know which is which';
      throw new InvalidOptionsError('rateLimit', [{ field: 'name', received, accepts }]);
    }
    this.#taken.add(identity);
    return identity;
  }
}
