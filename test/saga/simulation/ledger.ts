/**
 * The participants' own books: what really happened, whatever the saga's journal says. It deduplicates by key and
 * knows barriers, as the guide asks of participants, and it notes every breach of the rules.
 */

interface Entry {
  /** How often the step had its effect, under any key. */
  applied: number;
  /** Whether the effect is there now. */
  live: boolean;
  undone: boolean;
}

/** Which step of which saga. */
export interface Place {
  readonly id: string;
  readonly step: number;
}

export class Ledger {
  readonly breaches: string[] = [];
  /** Steps that an operator skipped, or whose undo: `id/step`. What they say need not be so. */
  readonly skipped: Set<string> = new Set();
  /** What each saga has moved; all of them together with the bank's counter-entries must be nothing. */
  readonly balance: Map<string, number> = new Map();
  #bank = 0;
  readonly #entries: Map<string, Entry[]> = new Map();
  readonly #byKey: Map<string, 'applied' | 'barred'> = new Map();

  breach(text: string): void {
    this.breaches.push(text);
  }

  entry({ id, step }: Place): Entry {
    let entries = this.#entries.get(id);
    if (entries === undefined) {
      entries = [];
      this.#entries.set(id, entries);
    }
    entries[step] ??= { applied: 0, live: false, undone: false };
    return entries[step];
  }

  isSkipped({ id, step }: Place): boolean {
    return this.skipped.has(`${id}/${step}`);
  }

  /** Whether the key had its effect, or never will, or is new. */
  known(key: string): 'applied' | 'barred' | undefined {
    return this.#byKey.get(key);
  }

  /** Have the effect, once per key. */
  apply(place: Place, key: string): void {
    if (this.#byKey.has(key)) return;
    this.#byKey.set(key, 'applied');
    const entry = this.entry(place);
    entry.applied += 1;
    entry.live = true;
    if (entry.applied > 1)
      this.breach(`${place.id}: step ${place.step} had its effect ${entry.applied} times`);
    this.#move(place.id, 2 ** place.step);
  }

  /** Never have the effect of this key. */
  bar(key: string): void {
    if (!this.#byKey.has(key)) this.#byKey.set(key, 'barred');
  }

  /** Take the effect back, if it is there; and if it is not, see to it that it never comes. */
  revert(place: Place, key: string, forwardKey: string): void {
    this.bar(forwardKey);
    if (this.#byKey.has(key)) return;
    this.#byKey.set(key, 'applied');
    const entry = this.entry(place);
    entry.undone = true;
    if (!entry.live) return;
    entry.live = false;
    this.#move(place.id, -(2 ** place.step));
  }

  #move(id: string, amount: number): void {
    this.balance.set(id, (this.balance.get(id) ?? 0) + amount);
    this.#bank -= amount;
  }

  /** Check that money is neither made nor lost. */
  audit(): void {
    let sum = this.#bank;
    for (const amount of this.balance.values()) sum += amount;
    if (sum !== 0) this.breach(`money was not conserved: ${sum}`);
  }
}
