import { Life } from '../../../src/testing/crash-matrix/life.ts';

/** A worker's process, and what it was told of its sagas. */
export class Process extends Life {
  /** By saga: the newest epoch at which it was told that it holds it. */
  readonly told: Map<number, number> = new Map();
  /** By saga: the newest epoch at which it was told that it lost it. */
  readonly lost: Map<number, number> = new Map();
  /** Attempts at steps under way, by `n/index`. */
  readonly underWay: Map<string, number> = new Map();

  /** Whether it must know that it does not hold this saga. */
  isFenced(n: number): boolean {
    const lost = this.lost.get(n);
    return lost !== undefined && lost >= (this.told.get(n) ?? 0);
  }

  begin(at: string): void {
    this.underWay.set(at, (this.underWay.get(at) ?? 0) + 1);
  }

  end(at: string): void {
    const left = this.underWay.get(at)! - 1;
    if (left === 0) this.underWay.delete(at);
    else this.underWay.set(at, left);
  }
}
