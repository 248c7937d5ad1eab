import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Tests that start processes or real servers; everything else is a unit test. */
const system = ['test/servers/**/*.test.ts', 'test/system/**/*.test.ts'];

export default defineConfig({
  root,
  test: {
    reporters: process.env.HOLDFAST_REPORT
      ? ['default', ['json', { outputFile: process.env.HOLDFAST_REPORT }]]
      : ['default'],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reportsDirectory: 'coverage' },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: system },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: system,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // Real servers and killed processes share two cores: one file at a time keeps them honest.
          fileParallelism: false,
        },
      },
    ],
  },
});
