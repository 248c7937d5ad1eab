/** What the raw numbers of a scenario come to. */
import { bare, median } from './measure.mjs';

/** Answers about one scenario's rounds; `rounds` holds a list of numbers for each contender. */
export class Results {
  #rounds;

  constructor(rounds) {
    this.#rounds = rounds;
  }

  get contenders() {
    return Object.keys(this.#rounds);
  }

  raw(contender) {
    const raw = this.#rounds[contender];
    if (raw === undefined)
      throw new Error(`no contender ${contender}; there are ${this.contenders.join(', ')}`);
    return raw;
  }

  median(contender) {
    return median(this.raw(contender));
  }

  /** The same rounds, seen by one of the numbers that each of them gave. */
  by(column) {
    const pick = (rounds) => rounds.map((round) => round[column]);
    return new Results(Object.fromEntries(Object.entries(this.#rounds).map(([name, r]) => [name, pick(r)])));
  }

  /** What a contender costs more than the bare call. */
  above(contender) {
    const base = this.raw(bare);
    return median(this.raw(contender).map((value, round) => value - base[round]));
  }

  /** How many times the other a contender costs. */
  ratio(contender, other) {
    const base = this.raw(other);
    return median(this.raw(contender).map((value, round) => value / base[round]));
  }

  /** The same, when the bare call is taken off both. */
  ratioAbove(contender, other) {
    return this.above(contender) / this.above(other);
  }

  /** The contender with the lowest median among those whose name begins so. */
  cheapest(prefix) {
    const all = this.contenders.filter((name) => name.startsWith(prefix));
    return all.reduce((best, name) => (this.median(name) < this.median(best) ? name : best));
  }
}

/** Whether each target is met: `limit` is the most it may be, `atLeast` the least. */
export function judge(suite, results) {
  return suite.targets
    .filter(({ scenario }) => results.has(scenario))
    .map(({ scenario, says, value, limit, atLeast, unit }) => {
      const measured = value(results.get(scenario));
      const met = atLeast === undefined ? measured <= limit : measured >= atLeast;
      return { says, measured, limit, atLeast, unit, met };
    });
}
