import { Life } from '../../../src/testing/crash-matrix/life.ts';
import type { VirtualTime } from '../../../src/testing/crash-matrix/virtual-time.ts';

/** More than any saga here has. */
const mostSteps = 64;

/** A worker's process, and what it was told of its sagas. */
export class Process extends Life {
  /** By saga: the newest epoch at which it was told that it holds it. */
  readonly told: Map<number, number> = new Map();
  /** By saga: the newest epoch at which it was told that it lost it. */
  readonly lost: Map<number, number> = new Map();
  /** How many attempts at a step are under way. */
  readonly #underWay: Map<number, number> = new Map();
  /** Those who wait for its answers. */
  readonly #callers: Set<() => void> = new Set();

  constructor(name: string, time: VirtualTime) {
    super(name, time);
    void this.died.then(() => {
      for (const hearOfDeath of this.#callers) hearOfDeath();
      this.#callers.clear();
    });
  }

  /** Whether it must know that it does not hold this saga. */
  isFenced(n: number): boolean {
    const lost = this.lost.get(n);
    return lost !== undefined && lost >= (this.told.get(n) ?? 0);
  }

  begin(n: number, step: number): void {
    const at = n * mostSteps + step;
    this.#underWay.set(at, (this.#underWay.get(at) ?? 0) + 1);
  }

  end(n: number, step: number): void {
    const at = n * mostSteps + step;
    const left = this.#underWay.get(at)! - 1;
    if (left === 0) this.#underWay.delete(at);
    else this.#underWay.set(at, left);
  }

  /** Whether an attempt at this step of this saga is under way. */
  isUnderWay(n: number, step: number): boolean {
    return this.#underWay.has(n * mostSteps + step);
  }

  /**
   * What it answered, or undefined when it dies before. A race with its death would leave a reaction to that behind for
   * every question.
   *
   * @param answer must not reject
   */
  hear<T>(answer: Promise<T>): Promise<T | undefined> {
    if (!this.isAlive) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const hearOfDeath = (): void => resolve(undefined);
      this.#callers.add(hearOfDeath);
      void answer.then((value) => {
        this.#callers.delete(hearOfDeath);
        resolve(value);
      });
    });
  }
}
