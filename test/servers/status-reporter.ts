import type { Reporter, TestModule, TestSuite } from 'vitest/node';
import './describe-server.ts';

interface Tally {
  readonly state: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** At the end of a run, one line for each server: running with its version, or missing, and what that skipped. */
export class StatusReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = statusLines(modules.flatMap((module) => [...module.children.allSuites()]));
    if (lines.length > 0) process.stdout.write(`\n real servers\n${lines.join('\n')}\n`);
  }
}

function statusLines(suites: readonly TestSuite[]): string[] {
  const servers = new Map<string, Tally>();
  for (const suite of suites) {
    const { server } = suite.meta();
    if (server === undefined) continue;
    const states = [...suite.children.allTests()].map((test) => test.result().state);
    const count = (state: string): number => states.filter((s) => s === state).length;
    const before = servers.get(server.name);
    servers.set(server.name, {
      state: server.state,
      passed: (before?.passed ?? 0) + count('passed'),
      failed: (before?.failed ?? 0) + count('failed'),
      skipped: (before?.skipped ?? 0) + count('skipped'),
    });
  }
  return [...servers].map(([name, tally]) => `   ${name.padEnd(10)} ${tally.state}, ${summary(tally)}`);
}

function summary({ passed, failed, skipped }: Tally): string {
  const counts = [
    [passed, 'passed'],
    [failed, 'failed'],
    [skipped, 'skipped'],
  ] as const;
  return `tests: ${
    counts
      .filter(([n]) => n > 0)
      .map(([n, word]) => `${n} ${word}`)
      .join(', ') || 'none'
  }`;
}
