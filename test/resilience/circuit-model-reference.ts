/** The naïve model of a breaker that the machine is held against. */

import { bucketCount } from '../../src/core/window.ts';
import type { CircuitSettings, CircuitState, ForcedState } from '../../src/resilience/circuit-types.ts';

interface Sample {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

export interface Ticket {
  /** Of the machine and of the model, to be told to each. */
  readonly generation: number;
  readonly period: object;
  readonly probe: boolean;
}

const share = (samples: readonly Sample[], kind: 'failed' | 'slow'): number =>
  samples.filter((sample) => sample[kind]).length / samples.length;

/** What the rules say, in as many words. */
export class Reference {
  state: CircuitState = 'closed';
  /** A new object at each transition, which tickets of before do not have. */
  period: object = {};
  samples: Sample[] = [];
  probes: Sample[] = [];
  probesOut = 0;
  inRow = 0;
  openings = 0;
  openedAt = 0;
  readonly settings: CircuitSettings;

  constructor(settings: CircuitSettings) {
    this.settings = settings;
  }

  become(state: CircuitState): void {
    this.state = state;
    this.period = {};
    this.probes = [];
    this.probesOut = 0;
  }

  forget(): void {
    this.samples = [];
    this.inRow = 0;
    this.openings = 0;
  }

  open(now: number): void {
    this.openings += 1;
    this.openedAt = now;
    this.become('open');
  }

  look(now: number): void {
    if (this.state === 'open' && now - this.openedAt >= this.openings * 100) this.become('half-open');
  }

  kept(now: number): Sample[] {
    const { window } = this.settings;
    if ('calls' in window) return this.samples.slice(-window.calls);
    const bucket = (at: number): number => Math.floor(at / (window.time / bucketCount));
    return this.samples.filter(({ at }) => bucket(now) - bucket(at) < bucketCount);
  }

  over(samples: readonly Sample[]): boolean {
    const { failureRate, slowRate } = this.settings;
    return share(samples, 'failed') >= failureRate || share(samples, 'slow') >= slowRate;
  }

  admit(): 'free' | 'probe' | 'refused' {
    if (this.state === 'open' || this.state === 'forced-open') return 'refused';
    if (this.state !== 'half-open') return 'free';
    if (this.probesOut + this.probes.length >= this.settings.probes) return 'refused';
    this.probesOut += 1;
    return 'probe';
  }

  settle(ticket: Ticket, sample: Sample): void {
    if (ticket.period !== this.period || this.state === 'disabled') return;
    if (ticket.probe) {
      this.probesOut -= 1;
      this.probes.push(sample);
      this.judgeProbes(sample);
      return;
    }
    this.samples.push(sample);
    this.inRow = sample.failed ? this.inRow + 1 : 0;
    if (this.state !== 'closed') return;
    const { window, minimumCalls, consecutiveFailures } = this.settings;
    const kept = this.kept(sample.at);
    const enough = kept.length >= ('calls' in window ? Math.min(window.calls, minimumCalls) : minimumCalls);
    if (this.inRow >= consecutiveFailures || (enough && this.over(kept))) this.open(sample.at);
  }

  judgeProbes(last: Sample): void {
    const { minimumCalls, probes, failFast, early } = this.settings;
    const missing = Math.min(minimumCalls, probes) - this.probes.length;
    const all = (failed: boolean): boolean =>
      this.over([
        ...this.probes,
        ...Array.from({ length: missing }, () => ({ at: 0, failed, slow: failed })),
      ]);
    if (failFast && last.failed) this.open(last.at);
    else if (missing > 0 && !(early && all(true) === all(false))) return;
    else if (all(false)) this.open(last.at);
    else {
      this.forget();
      this.become('closed');
    }
  }

  ignore(ticket: Ticket): void {
    if (ticket.period === this.period && ticket.probe) this.probesOut -= 1;
  }

  force(state: ForcedState | undefined): void {
    const forced = { open: 'forced-open', disabled: 'disabled', 'metrics-only': 'metrics-only' } as const;
    const target = state === undefined ? 'closed' : forced[state];
    const isForced =
      this.state === 'forced-open' || this.state === 'disabled' || this.state === 'metrics-only';
    if (target === this.state || (target === 'closed' && !isForced)) return;
    this.forget();
    this.become(target);
  }

  reset(): void {
    const automatic = this.state === 'open' || this.state === 'half-open';
    this.forget();
    this.become(automatic ? 'closed' : this.state);
  }
}
