import { readFileSync } from 'node:fs';

const machine = readFileSync(new URL('../../../src/resilience/circuit-state.ts', import.meta.url), 'utf8');

/** Mutants of the breaker's machine and of its judgements. */
export const machineMutants = [
  ['the generation is not raised', 'this.generation += 1;\n  }\n\n  #clear', '}\n\n  #clear'],
  [
    'late outcomes count',
    "if (generation !== this.generation || this.state === 'disabled')",
    "if (this.state === 'disabled')",
  ],
  [
    'late ignored calls return a permit',
    "if (generation !== this.generation || this.state !== 'half-open') return;\n    this.#permits",
    "if (this.state !== 'half-open') return;\n    this.#permits",
  ],
  [
    'late leases expire the next period',
    "if (generation !== this.generation || this.state !== 'half-open') return undefined;\n    return this.#open(now, 'probe-expired'",
    "if (this.state !== 'half-open') return undefined;\n    return this.#open(now, 'probe-expired'",
  ],
  ['one permit too many', 'this.#permits > 0', 'this.#permits >= 0'],
  [
    'the first probe takes no permit',
    'this.#permits -= 1;',
    'if (this.#permits < this.#settings.probes) this.#permits -= 1;',
  ],
  ['permits grow beyond P', 'Math.min(this.#settings.probes, this.#permits + 1)', 'this.#permits + 1'],
  [
    'an ignored probe keeps its permit',
    'this.#permits = Math.min(this.#settings.probes, this.#permits + 1);',
    '',
  ],
  [
    '> for >= at the failure rate',
    'failures / calls >= rules.failureRate',
    'failures / calls > rules.failureRate',
  ],
  ['> for >= at the slow rate', 'slow / calls >= rules.slowRate', 'slow / calls > rules.slowRate'],
  [
    '>= for > at the slow threshold',
    'duration > this.#settings.slowThreshold',
    'duration >= this.#settings.slowThreshold',
  ],
  [
    'multiplied, not divided',
    'failures / calls >= rules.failureRate',
    'failures >= rules.failureRate * calls',
  ],
  ['> for >= at the minimum', 'tally.calls >= rules.minimum', 'tally.calls > rules.minimum'],
  ['the minimum is not bounded by the window', 'Math.min(minimumCalls, window.calls)', 'minimumCalls'],
  [
    '> for >= at failures in a row',
    'consecutive >= rules.consecutiveFailures',
    'consecutive > rules.consecutiveFailures',
  ],
  [
    'a success does not end a row of failures',
    'failed ? this.consecutive + 1 : 0',
    'failed ? this.consecutive + 1 : this.consecutive',
  ],
  [
    'only failures are decided on',
    'return this.#decide(now, cause, outside);',
    'return failed ? this.#decide(now, cause, outside) : undefined;',
  ],
  ['the wait is over too late', 'now < this.#openUntil', 'now <= this.#openUntil'],
  ['openings are not counted up', 'this.#openings += 1;', 'this.#openings = 1;'],
  ['the backoff is asked from 0', 'openFor(this.#openings + 1, ', 'openFor(this.#openings, '],
  [
    'retryAfter is not capped',
    'Math.min(retryAfterOf(cause, outside.wallTime), this.#settings.maxRetryAfter)',
    'retryAfterOf(cause, outside.wallTime)',
  ],
  ['retryAfter is not heeded', 'Math.max(asked, ', 'Math.max(0, '],
  ['headers with Retry-After are not read', 'retryAfterOf(cause, outside.wallTime)', 'retryAfterOf(cause)'],
  ['closing does not clear the window', 'this.#window.clear();', ''],
  [
    'closing does not clear the row of failures',
    'this.consecutive = 0;\n    this.#openings',
    'this.#openings',
  ],
  ['closing does not clear the openings', 'this.#openings = 0;\n', ''],
  [
    'a new period keeps the old probes',
    "this.#enter('half-open');\n    this.#probes = noCalls;",
    "this.#enter('half-open');",
  ],
  [
    'probes wait for P, not for the minimum',
    'Math.min(settings.minimumCalls, settings.probes)',
    'settings.probes',
  ],
  ['fail fast does nothing', 'settings.failFast && lastFailed', 'false'],
  ['early forgets the worst case', 'failures: tally.failures + left', 'failures: tally.failures'],
  ['early forgets slow calls', 'slow: tally.slow + left', 'slow: tally.slow'],
  ['it would trip again and again', 'this.#warned = true;', ''],
  [
    'metrics-only opens',
    "this.state === 'closed' ? this.#open(now, reason, cause, outside)",
    'true ? this.#open(now, reason, cause, outside)',
  ],
  ['disabled records', " || this.state === 'disabled') return undefined;", ') return undefined;'],
  ['reset ends a forced state', "if (from !== 'open' && from !== 'half-open') {", "if (from === 'closed') {"],
  [
    'a trip by hand restarts the wait',
    "if (this.state !== 'closed' && this.state !== 'half-open') return undefined;\n    return this.#open(now, by.reason",
    'return this.#open(now, by.reason',
  ],
  [
    'late untimed successes count',
    "succeeded += 1;\n    if (generation !== this.generation || this.state === 'disabled')",
    "succeeded += 1;\n    if (this.state === 'disabled')",
  ],
  [
    'untimed successes are recorded while disabled',
    "succeeded += 1;\n    if (generation !== this.generation || this.state === 'disabled')",
    'succeeded += 1;\n    if (generation !== this.generation)',
  ],
  [
    'an untimed success does not end a row of failures',
    'window.add(now, false, false);\n    this.consecutive = 0;',
    'window.add(now, false, false);',
  ],
  [
    'untimed successes are not decided on',
    'return window.failures === 0 && window.slow === 0 ? undefined : this.#decide(now, undefined, outside);',
    'return undefined;',
  ],
].map(([name, find, replace]) => ({
  file: machine.includes(find) ? 'circuit-state.ts' : 'circuit-verdict.ts',
  name,
  find,
  replace,
}));
