/** A breaker's state in words, for the person who asks at night why calls are rejected. */
import { messageOf } from '../core/holdfast-error.ts';
import type { Tally } from '../core/window.ts';
import type { CircuitMachine } from './circuit-state.ts';
import type { CircuitSettings, Opening } from './circuit-types.ts';
import { probesNeeded, type TripRules } from './circuit-verdict.ts';

/** Where it is, why, and what would change that: a few sentences. Call `refresh` on the machine first. */
export function explainCircuit(name: string, machine: CircuitMachine, now: number): string {
  return `${name} is ${machine.state}: ${sentences(machine, now).join(' ')}`;
}

function sentences(machine: CircuitMachine, now: number): string[] {
  switch (machine.state) {
    case 'closed':
      return closed(machine, now);
    case 'open':
      return open(machine, now);
    case 'half-open':
      return halfOpen(machine);
    case 'forced-open':
      return ['every call is rejected, because force("open") was called.', release];
    case 'disabled':
      return ['every call passes and none is recorded, because force("disabled") was called.', release];
    case 'metrics-only':
      return [
        `calls pass and are recorded, because force("metrics-only") was called; ${recorded(machine.tally(now), machine.settings)}.`,
        release,
      ];
  }
}

const release = 'force(undefined) ends that.';

function closed(machine: CircuitMachine, now: number): string[] {
  const tally = machine.tally(now);
  const rules = machine.thresholds.rules(now);
  const said = [`calls pass; ${recorded(tally, machine.settings)}.`];
  const warming = machine.thresholds.warmingUp(now);
  if (warming > 0) said.push(`It is warming up and does not open by itself for another ${time(warming)}.`);
  if (rules.failureRate < machine.settings.failureRate) {
    said.push('Its thresholds are lowered, because a sibling has opened.');
  }
  said.push(`It opens ${conditions(rules, machine.settings, tally).join(', or ')}.`);
  if (machine.consecutive > 1) said.push(`The last ${machine.consecutive} calls failed.`);
  return said;
}

function conditions(rules: TripRules, settings: CircuitSettings, { calls }: Tally): string[] {
  const missing = rules.minimum - calls;
  const enough =
    missing > 0 ? ` once ${missing} more ${missing === 1 ? 'call has' : 'calls have'} settled` : '';
  const found = [`when ${percent(rules.failureRate)} of them have failed${enough}`];
  if (settings.slowThreshold < Number.POSITIVE_INFINITY) {
    found.push(
      `when ${percent(rules.slowRate)} of them took longer than ${time(settings.slowThreshold)}${enough}`,
    );
  }
  if (rules.consecutiveFailures < Number.POSITIVE_INFINITY) {
    found.push(`at ${rules.consecutiveFailures} failures in a row`);
  }
  return found;
}

function open(machine: CircuitMachine, now: number): string[] {
  const { settings, openings } = machine;
  const said = ['calls are rejected.', ...why(machine)];
  if (openings > 1) said.push(`It has opened ${openings} times without closing between.`);
  said.push(
    `In ${time(machine.retryAfter(now))} it lets ${plural(settings.probes, 'call')} pass as probes;`,
    'reset() closes it now.',
  );
  return said;
}

function halfOpen(machine: CircuitMachine): string[] {
  const { settings, permits } = machine;
  const { calls, failures } = machine.tally(0);
  const needed = probesNeeded(settings);
  return [
    `${calls} of ${plural(needed, 'probe')} have settled, ${failures} of them failed; ${permits} more may pass, other calls are rejected.`,
    ...why(machine),
    `It closes when less than ${percent(settings.failureRate)} of the probes fail, and opens again otherwise.`,
  ];
}

function why({ opening, settings }: CircuitMachine): string[] {
  if (opening === undefined) return [];
  const said = [`It opened because ${reasonOf(opening, settings)}.`];
  if (opening.cause !== undefined) said.push(`The last of it: ${messageOf(opening.cause)}.`);
  return said;
}

function reasonOf({ reason, tally }: Opening, settings: CircuitSettings): string {
  const { calls, failures, slow } = tally;
  switch (reason) {
    case 'failure-rate':
      return `${failures} of ${plural(calls, 'call')} failed (${percent(failures / calls)}; the limit is ${percent(settings.failureRate)})`;
    case 'slow-rate':
      return `${slow} of ${plural(calls, 'call')} took longer than ${time(settings.slowThreshold)} (${percent(slow / calls)}; the limit is ${percent(settings.slowRate)})`;
    case 'consecutive-failures':
      return `${settings.consecutiveFailures} calls in a row failed`;
    case 'first-failure':
      return 'a probe failed';
    case 'probe-expired':
      return `a probe did not settle within ${time(settings.maxWait)}`;
    case 'manual':
      return 'trip() was called';
    case 'shared':
      return 'a sibling in another process had opened';
  }
}

function recorded({ calls, failures, slow }: Tally, { window }: CircuitSettings): string {
  const span =
    'calls' in window ? `the last ${plural(window.calls, 'call')}` : `the last ${time(window.time)}`;
  return `of ${span} ${plural(calls, 'call')} ${calls === 1 ? 'is' : 'are'} recorded, ${failures} failed, ${slow} slow`;
}

function percent(share: number): string {
  // Thresholds are at most two digits long in practice; 33.333 % would only hide the number.
  return `${Math.round(share * 1_000) / 10} %`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function time(duration: number): string {
  return duration < 1_000 ? `${Math.ceil(duration)} ms` : `${Math.ceil(duration / 100) / 10} s`;
}
