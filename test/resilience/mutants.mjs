/**
 * Breaks the resilience policies in one small way after another and checks that their tests notice each time:
 *
 *     node test/resilience/mutants.mjs [part of a mutant's name] [part of a test file's name]
 *
 * Each mutant is one replacement in a copy of the sources, in a temporary directory. It is killed when at least one
 * test fails, and survives when all pass; the exit code is the number that survived.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { machineMutants } from './mutants/machine.mjs';
import { policyMutants } from './mutants/policies.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

const [wanted = '', tests = 'test/resilience'] = process.argv.slice(2);
const mutants = [...machineMutants, ...policyMutants].filter(({ name }) => name.includes(wanted));
const copy = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'));
let survivors = 0;
try {
  for (const folder of ['src', 'test/resilience', 'package.json']) {
    cpSync(join(root, folder), join(copy, folder), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const begin = Date.now();
  const unchanged = runTests(600_000);
  // A mutant may loop for ever, and that is being noticed, too; one that is only slow, on a busy machine, is not.
  const limit = 30_000 + 4 * (Date.now() - begin);
  // Otherwise every mutant would seem to be killed, by whatever is wrong with the copy.
  if (unchanged.status !== 0)
    throw new Error(`the unchanged copy fails:\n${unchanged.stdout}${unchanged.stderr}`);
  for (const mutant of mutants) {
    const path = join(copy, 'src/resilience', mutant.file);
    const source = readFileSync(path, 'utf8');
    const mutated = source.replace(mutant.find, () => mutant.replace);
    if (mutated === source) throw new Error(`${mutant.file}: nothing to replace for: ${mutant.name}`);
    writeFileSync(path, mutated);
    const { status, signal, ...output } = runTests(limit);
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

function runTests(limit) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  return spawnSync(process.execPath, [vitest, 'run', '--root', copy, '--bail', '1', tests], {
    cwd: copy,
    env: { ...process.env, HOLDFAST_RUNS: '3000', NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: limit,
    killSignal: 'SIGKILL',
  });
}

/** The test that noticed first. */
function killer(report) {
  const name = /FAIL\s+(.*)/.exec(report)?.[1];
  return name === undefined ? '' : `(${name.trim()})`;
}
