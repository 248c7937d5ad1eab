/**
 * Work that never overlaps with itself. A request during a run is served by one more run that begins afterwards,
 * however many such requests there are, so each gets a result that began after it asked, and none is older than one
 * that was there before.
 */
export class Rerun<T> {
  readonly #work: () => Promise<T>;
  #current: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** Settles as the first run does that begins from now on. */
  request(): Promise<T> {
    if (this.#current === undefined) return this.#begin();
    const again = (): Promise<T> => this.#begin();
    this.#next ??= this.#current.then(again, again);
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const run = this.#work();
    const ended = (): void => {
      // With a next run due it stays "running", or a request just now would begin one beside it.
      if (this.#next === undefined) this.#current = undefined;
    };
    this.#current = run;
    run.then(ended, ended);
    return run;
  }
}
