import { within } from '../core/abort.ts';
import type { Timer } from '../core/clock.ts';
import { unlimitedCall } from '../core/policy.ts';
import type { Runtime } from '../core/runtime.ts';
import type { Probe } from './probe.ts';

/** How many equal answers in a row change the verdict. */
export interface HealthThresholds {
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
}

/** The verdict, and how many answers in a row have spoken against it. */
export interface HealthVerdict {
  readonly up: boolean;
  readonly against: number;
}

/** The verdict before the first answer, and after the app's process has ended. */
export const unknownHealth: HealthVerdict = { up: false, against: 0 };

/** The verdict after one more answer. Pure. */
export function judge(verdict: HealthVerdict, healthy: boolean, limits: HealthThresholds): HealthVerdict {
  if (healthy === verdict.up) return verdict.against === 0 ? verdict : { ...verdict, against: 0 };
  const against = verdict.against + 1;
  const needed = verdict.up ? limits.unhealthyAfter : limits.healthyAfter;
  return against >= needed ? { up: !verdict.up, against: 0 } : { up: verdict.up, against };
}

/** What a {@link HealthWatch} needs. */
export interface HealthWatchOptions extends HealthThresholds {
  readonly probe: Probe;
  /** Milliseconds between two probes of an app that is up. */
  readonly interval: number;
  /** Milliseconds that one probe may take. */
  readonly timeout: number;
  readonly runtime: Runtime;
  /** Told when the verdict changes. */
  readonly onChange: (up: boolean) => void;
}

/** An app that is awaited is asked this often, so that readiness is not late by a whole interval. */
const eagerInterval = 200;

/** Asks the app again and again whether it is healthy. */
export class HealthWatch {
  readonly #options: HealthWatchOptions;
  #verdict: HealthVerdict = unknownHealth;
  #timer: Timer | undefined;
  /** Raised to make the answer of a probe under way count for nothing. */
  #epoch = 0;
  #stopped = true;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#verdict.up;
  }

  start(): void {
    this.#stopped = false;
    void this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    this.#epoch += 1;
    this.#timer?.cancel();
  }

  /** The app's process has ended: it is down at once, whatever a probe under way may say. */
  lost(): void {
    if (this.#stopped) return;
    this.#epoch += 1;
    this.#timer?.cancel();
    this.#conclude(unknownHealth);
    this.#schedule();
  }

  async #ask(): Promise<void> {
    const { probe, timeout, runtime } = this.#options;
    const epoch = this.#epoch;
    const healthy = await within(runtime.clock, timeout, unlimitedCall, ({ signal }) => probe(signal)).catch(
      () => false,
    );
    if (epoch !== this.#epoch) return;
    this.#conclude(judge(this.#verdict, healthy, this.#options));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { interval, runtime } = this.#options;
    const delay = this.up ? interval : Math.min(interval, eagerInterval);
    this.#timer = runtime.clock.schedule(delay, () => void this.#ask());
  }

  #conclude(verdict: HealthVerdict): void {
    const changed = verdict.up !== this.#verdict.up;
    this.#verdict = verdict;
    if (changed) this.#options.onChange(verdict.up);
  }
}
