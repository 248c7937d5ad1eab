/** Requests for one thing, of which one is made and the others wait. */

/** How a flight ended: its answer is in the store, may not be stored, or never came whole. */
export type Landing = 'stored' | 'not storable' | 'broken';

/** How many keys are remembered whose answers may not be stored. */
const remembered = 10_000;

/** For how long requests for such a key do not wait for each other, in milliseconds. */
const passing = 10_000;

/** A request that others may wait for. */
export class Flight {
  /** Resolves when it has ended. */
  readonly landed: Promise<Landing>;
  /** Whether what it brings was declared out of date meanwhile. */
  spoiled = false;
  readonly #onLanding: (landing: Landing) => void;
  #resolve!: (landing: Landing) => void;
  #over = false;

  constructor(onLanding: (landing: Landing) => void) {
    this.#onLanding = onLanding;
    this.landed = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** End it; only the first time counts. */
  land(landing: Landing): void {
    if (this.#over) return;
    this.#over = true;
    this.#onLanding(landing);
    this.#resolve(landing);
  }
}

/** The requests under way by key. */
export class Flights {
  readonly #flights: Map<string, Flight> = new Map();
  readonly #passes: Map<string, number> = new Map();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The flight of a key that is under way. */
  get(key: string): Flight | undefined {
    return this.#flights.get(key);
  }

  /** Whether an answer of this key was found not to be storable a moment ago, so that waiting for one is of no use. */
  passes(key: string): boolean {
    const until = this.#passes.get(key);
    if (until === undefined) return false;
    if (until > this.#now()) return true;
    this.#passes.delete(key);
    return false;
  }

  /** Begin one. */
  begin(key: string): Flight {
    const flight: Flight = new Flight((landing) => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
      if (landing === 'not storable') this.#pass(key);
      else if (landing === 'stored') this.#passes.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }

  /** What is under way for these keys brings something that is out of date. */
  spoil(matches: (key: string) => boolean): void {
    for (const [key, flight] of this.#flights) if (matches(key)) flight.spoiled = true;
  }

  #pass(key: string): void {
    this.#passes.delete(key);
    this.#passes.set(key, this.#now() + passing);
    if (this.#passes.size > remembered) this.#passes.delete(this.#passes.keys().next().value as string);
  }
}
