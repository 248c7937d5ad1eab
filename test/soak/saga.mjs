import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tests = ['saga-crash', 'saga-crash-postgres', 'saga-frozen'].map(
  (name) => `test/system/${name}.test.ts`,
);

/**
 * The system tests that kill processes and servers under sagas, for much longer: so many kills at failpoints and so many
 * at random moments on each store, and so many crashes of the Postgres server. Resolves to the exit code.
 */
export function killSagas({ rounds, crashes }) {
  const child = spawn(
    'npx',
    ['vitest', 'run', '--config', 'test/vitest.config.ts', '--project', 'system', ...tests],
    { cwd: root, stdio: 'inherit', env: { ...process.env, ROUNDS: rounds, CRASHES: crashes } },
  );
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}
