/**
 * Breaks the resilience policies in one small way after another and checks that their tests notice each time:
 *
 *     node test/resilience/mutants.mjs [part of a mutant's name]
 *
 * Each mutant is one replacement in a copy of the sources, in a temporary directory. It is killed when at least one
 * test fails, and survives when all pass; the exit code is the number that survived.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

const machine = [
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
    'const reason = this.thresholds.reached(',
    'const reason = !failed ? undefined : this.thresholds.reached(',
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
].map(([name, find, replace]) => {
  const inMachine = readFileSync(join(root, 'src/resilience/circuit-state.ts'), 'utf8').includes(find);
  return { file: inMachine ? 'circuit-state.ts' : 'circuit-verdict.ts', name, find, replace };
});

const others = [
  [
    'window.ts',
    'the time window is a bucket too short',
    '>= bucketCount) this.clear',
    '>= bucketCount - 1) this.clear',
  ],
  [
    'window.ts',
    'the time window drops one bucket only',
    'for (let passed = this.#epoch + 1;',
    'for (let passed = epoch;',
  ],
  ['window.ts', 'the time window goes back', 'if (now >= this.#endsAt)', 'if (now !== this.#endsAt)'],
  [
    'window.ts',
    'a loaded slice is younger than it was',
    'Math.floor((now - age) / this.#width + 1e-6)',
    'Math.floor(now / this.#width)',
  ],
  ['window.ts', 'a resized window is empty', 'other.load(window.slices(now), now);', ''],
  [
    'circuit-state.ts',
    'fewer permits leave a half-open breaker stuck',
    'return this.#judgeProbes(now, false, undefined, outside);\n  }\n\n  /** What another',
    'return undefined;\n  }\n\n  /** What another',
  ],
  ['circuit-state.ts', 'reconfiguring gives all permits anew', 'settings.probes - taken', 'settings.probes'],
  [
    'circuit-state.ts',
    'a half-open breaker is exported as it is',
    "state === 'half-open' ? 'open' : state",
    'state',
  ],
  [
    'circuit-state.ts',
    'an import leaves old outcomes in force',
    'this.#enter(from.state);',
    'this.state = from.state;',
  ],
  ['circuit-state.ts', 'an import forgets the openings', 'this.#openings = from.openings;', ''],
  ['circuit-state.ts', 'an import forgets the row of failures', 'this.consecutive = from.consecutive;', ''],
  ['circuit-snapshot.ts', 'an import waits all over', 'parsed.wait - elapsed', 'parsed.wait'],
  ['circuit-snapshot.ts', 'imported outcomes do not age', 'age: slice.age + elapsed', 'age: slice.age'],
  [
    'circuit-snapshot.ts',
    'a wall clock that went back prolongs',
    'Math.max(0, wallTime - parsed.at)',
    'wallTime - parsed.at',
  ],
  ['circuit-verdict.ts', 'warming up opens', ' || now < this.#warmUntil', ''],
  [
    'circuit-verdict.ts',
    'thresholds stay lowered',
    'now < this.#loweredUntil ? this.#factor : 1',
    'this.#factor',
  ],
  ['circuit-verdict.ts', 'the minimum is not lowered', 'Math.ceil(minimum * factor)', 'minimum'],
  [
    'circuit-breakers.ts',
    'the breaker used last is evicted',
    'this.#entries.set(key, entry);\n      this.#newest = key;',
    '',
  ],
  [
    'circuit-breakers.ts',
    'one breaker too many',
    'this.#entries.size > this.#capacity',
    'this.#entries.size > this.#capacity + 1',
  ],
  ['circuit-sharing.ts', 'rumours go round', "if (reason !== 'shared') void", 'void'],
  [
    'circuit-sharing.ts',
    'an old story opens again',
    'if (isSame && known.until === notice.until) return;',
    '',
  ],
  [
    'circuit-sharing.ts',
    'a breaker that comes late is not told',
    'if (known !== undefined) this.#heed(member, known);',
    '',
  ],
  [
    'circuit-sharing.ts',
    'the whole wait is imitated',
    'Math.min(wait, until - this.#runtime.clock.wallTime())',
    'wait',
  ],
  [
    'latency-histogram.ts',
    'a quiet night is remembered',
    'if (epoch > this.#epoch + 1) this.#previous.clear();',
    '',
  ],
  ['window.ts', 'dropped buckets keep their numbers', 'buckets.fill(0, at, at + stride);', ''],
  ['window.ts', 'the ring does not forget failures', 'if (oldest & failedBit) this.failures -= 1;', ''],
  ['window.ts', 'the ring wraps one late', 'this.#next + 1 === ring.length', 'this.#next === ring.length'],
  [
    'circuit-breaker.ts',
    'events before the permit is taken',
    'const admission = machine.admit();',
    'if (change !== undefined) this.#recorder.announce(change);\n    const admission = machine.admit();',
  ],
  [
    'circuit-breaker.ts',
    'work that ignores its signal is never counted',
    'off = signal && onAbort(signal, (reason) => permit.aborted(reason));',
    '',
  ],
  [
    'circuit-breaker.ts',
    'calls that were never begun count',
    'if (begun) permit.rejected(error);\n        else permit.ignore(error);',
    'permit.rejected(error);',
  ],
  [
    'circuit-probe.ts',
    'listeners stay on the signal',
    "return () => signal.removeEventListener('abort', heard);",
    'return () => {};',
  ],
  [
    'circuit-probe.ts',
    'a hung probe is not ended',
    'return withinSignal(signal, () => settle(work, leased)).finally(dispose);',
    'return settle(work, leased).finally(dispose);',
  ],
  [
    'circuit-token.ts',
    'an outcome counts twice',
    'this.#settled = true;\n    this.#lease?.cancel();',
    'this.#lease?.cancel();',
  ],
  ['circuit-token.ts', 'the lease outlives its probe', 'this.#lease?.cancel();', ''],
  [
    'circuit-token.ts',
    'the lease holds the process',
    '() => this.#expire())',
    '() => this.#expire(), { hold: true })',
  ],
  [
    'circuit-token.ts',
    'our timeout is ignored',
    'if (reason instanceof TimeoutError) this.rejected(reason);\n    else this.ignore(reason);',
    'this.ignore(reason);',
  ],
  [
    'circuit-token.ts',
    'a caller that gives up is a failure',
    'else this.ignore(reason);',
    'else this.rejected(reason);',
  ],
  [
    'circuit-recorder.ts',
    'refused calls count',
    'if (isRefusal(error) || ignore?.(error))',
    'if (ignore?.(error))',
  ],
  [
    'circuit-recorder.ts',
    'failure is asked before ignored',
    "if (isRefusal(error) || ignore?.(error)) return 'ignored';\n",
    '',
  ],
  ['refusal.ts', 'rejections have a stack', 'limitStacks(0);', ''],
  ['refusal.ts', 'stacks are off for ever', '    limitStacks(limit);', ''],
  ['retry.ts', 'one attempt too many', 'if (attempt >= attempts)', 'if (attempt > attempts)'],
  [
    'retry.ts',
    'the sleep does not hear the caller',
    'await sleep(this.#runtime.clock, wait, source);',
    'await sleep(this.#runtime.clock, wait);',
  ],
  [
    'retry.ts',
    'retryable: false is not heeded',
    '?.retryable === false) return false;',
    '?.retryable === false) return true;',
  ],
  ['retry.ts', 'retryAfter is not heeded', 'Math.max(asked, askBackoff', 'Math.max(0, askBackoff'],
  [
    'retry.ts',
    'sleeps past the deadline',
    'context.deadline !== undefined && clock.now() + wait >= context.deadline',
    'false',
  ],
  ['retry.ts', 'p-retry sees the errors themselves', 'throw failedAttempt(first);', 'throw first;'],
  [
    'bulkhead.ts',
    'new calls push in',
    'this.#running < this.#limit && this.#waiting.size === 0',
    'this.#running < this.#limit',
  ],
  [
    'bulkhead.ts',
    'the slot of one that left is lost',
    'this.#release();\n      throw source.reason;',
    'throw source.reason;',
  ],
  ['bulkhead.ts', 'one that left keeps its place', 'this.#waiting.delete(waiter, priority);\n', ''],
  ['bulkhead.ts', 'tasks are lost when callers leave', 'this.#tasks -= 1;\n', ''],
  [
    'bulkhead.ts',
    'the queue takes one too many',
    'this.#waiting.size >= this.#queue',
    'this.#waiting.size > this.#queue',
  ],
  ['fallback.ts', 'answers a caller that is gone', 'abortSource(context)?.aborted || ', ''],
].map(([file, name, find, replace]) => ({ file, name, find, replace }));

const wanted = process.argv[2] ?? '';
const mutants = [...machine, ...others].filter(({ name }) => name.includes(wanted));
const copy = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'));
let survivors = 0;
try {
  for (const folder of ['src', 'test/resilience', 'package.json']) {
    cpSync(join(root, folder), join(copy, folder), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const unchanged = runTests();
  // Otherwise every mutant would seem to be killed, by whatever is wrong with the copy.
  if (unchanged.status !== 0)
    throw new Error(`the unchanged copy fails:\n${unchanged.stdout}${unchanged.stderr}`);
  for (const mutant of mutants) {
    const path = join(copy, 'src/resilience', mutant.file);
    const source = readFileSync(path, 'utf8');
    const mutated = source.replace(mutant.find, () => mutant.replace);
    if (mutated === source) throw new Error(`${mutant.file}: nothing to replace for: ${mutant.name}`);
    writeFileSync(path, mutated);
    const { status, signal, ...output } = runTests();
    const report = output.stdout + output.stderr;
    const failed =
      /Tests .*\d+ failed/.test(report) || signal === 'SIGKILL' || /Errors .*\d+ error/.test(report);
    // A mutant that does not even load would be killed by any test, and so shows nothing.
    if (status !== 0 && !failed) throw new Error(`${mutant.file}: ${mutant.name}: no test ran:\n${report}`);
    if (status === 0) survivors += 1;
    console.log(
      `${status === 0 ? 'SURVIVED' : 'killed  '}  ${mutant.file}: ${mutant.name} ${killer(report)}`,
    );
    writeFileSync(path, source);
  }
  console.log(`${mutants.length - survivors} of ${mutants.length} mutants killed`);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.exitCode = survivors;

function runTests() {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  return spawnSync(process.execPath, [vitest, 'run', '--root', copy, '--bail', '1', 'test/resilience'], {
    cwd: copy,
    env: { ...process.env, HOLDFAST_RUNS: '3000', NO_COLOR: '1' },
    encoding: 'utf8',
    // A mutant may loop for ever; that, too, is being noticed.
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
}

/** The test that noticed first. */
function killer(report) {
  const name = /FAIL\s+(.*)/.exec(report)?.[1];
  return name === undefined ? '' : `(${name.trim()})`;
}
