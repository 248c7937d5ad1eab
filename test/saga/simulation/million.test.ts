import { execFile, execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = join(root, '.build/simulation/test/saga/simulation/main.js');
const execute = promisify(execFile);

// What fits into 90 s on two cores that have other work, too. `SAGAS=1000000` for a million.
const sagas = Number(process.env.SAGAS ?? 150_000);
// What decides whether a change may land must not be drawn by lot.
const first = Number(process.env.FIRST ?? (process.env.CI ? 359_220_297 : Math.floor(Math.random() * 1e9)));
// Larger worlds cost as much a saga, and have fewer shapes among them.
const sagasPerWorld = 250;

/** What one process has simulated. */
interface Part {
  readonly breaches: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** Microseconds of processor time. */
  readonly cpu: NodeJS.CpuUsage;
}

// Compiled and in processes of their own, one for each core: that is three times as fast as here.
it(`ends ${sagas} sagas truthfully (FIRST=${first})`, { timeout: 1_800_000 }, async () => {
  execFileSync('npx', ['tsc', '-p', 'test/saga/simulation'], { cwd: root });
  const start = performance.now();
  const cores = availableParallelism();
  const worlds = Math.ceil(sagas / sagasPerWorld / cores);
  const parts = await Promise.all(
    Array.from({ length: cores }, async (_, core): Promise<Part> => {
      const given = [first + core, cores, worlds, sagasPerWorld].map(String);
      const { stdout } = await execute(process.execPath, [main, ...given], { maxBuffer: 1e8 });
      return JSON.parse(stdout);
    }),
  );
  const seconds = Math.round((performance.now() - start) / 1_000);
  const total: Record<string, number> = {};
  for (const { counts } of parts) {
    for (const [what, count] of Object.entries(counts)) total[what] = (total[what] ?? 0) + count;
  }
  const simulated = cores * worlds * sagasPerWorld;
  const spent = parts.reduce((sum, { cpu }) => sum + cpu.user + cpu.system, 0);
  // Of the processor, since what the clock says depends on whatever else runs.
  const microsecondsEach = Math.round(spent / simulated);
  const run = { sagas: simulated, worlds: cores * worlds, processes: cores, seconds, microsecondsEach };
  console.log(`FIRST=${first}`, run);
  console.log(Object.fromEntries(Object.entries(total).sort()));
  expect(parts.flatMap(({ breaches }) => breaches)).toEqual([]);
  for (const end of ['completed', 'compensated', 'parked', 'resolved']) expect(total[end]).toBeGreaterThan(0);
});
