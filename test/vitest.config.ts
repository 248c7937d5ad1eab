import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { StatusReporter } from './servers/status-reporter.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Tests that start processes or real servers; everything else is a unit test. */
const system = [
  'test/servers/**/*.test.ts',
  'test/system/**/*.test.ts',
  // Breaks the saga engine on purpose, many times over.
  'test/saga/simulation/mutants.test.ts',
  // A hundred and fifty thousand sagas, in processes of their own, and every fault at every call of eleven.
  'test/saga/simulation/million.test.ts',
  'test/saga/simulation/exhaustive.test.ts',
];

/** Searches of which the unit tests take a taste, and the system tests much more. */
const searches = [
  'test/resilience/circuit-model.test.ts',
  'test/gateway/rules/smuggling.test.ts',
  'test/gateway/rules/smuggling-http2.test.ts',
  'test/gateway/rules/smuggled-answers.test.ts',
];

const reports = process.env.HOLDFAST_REPORTS;

const jsonReport = (outputFile: string): ['json', { outputFile: string }] => ['json', { outputFile }];

export default defineConfig({
  root,
  test: {
    reporters: [
      'default',
      new StatusReporter(),
      // A folder, since several runs (unit, system, other versions of Node) report into it.
      ...(reports ? [jsonReport(join(reports, `${Date.now()}-${process.pid}.json`))] : []),
    ],
    // A condition that has to come is waited for; how long it takes on a busy machine is no matter.
    expect: { poll: { timeout: 60_000 } },
    setupFiles: [fileURLToPath(new URL('seeds.ts', import.meta.url))],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reportsDirectory: 'coverage' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: system,
          // Time in these tests is virtual, so a limit only ends what hangs; a busy machine is no failure.
          testTimeout: 120_000,
          // One process for many files: what a file leaves behind shows in the next, and nothing may be left behind.
          isolate: false,
          maxWorkers: '100%',
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: [...system, ...searches],
          env: { HOLDFAST_RUNS: '100000', ATTACKS: '1200', ANSWERS: '800' },
          testTimeout: 300_000,
          hookTimeout: 120_000,
          // Real servers and killed processes share two cores: one file at a time keeps them honest.
          fileParallelism: false,
        },
      },
    ],
  },
});
