/**
 * Benchmarks, on the built package:
 *
 *     npm run bench -- <suite> … [--long] [--only=<scenario>] [--among=<contender>,…] [--write]
 *
 * A suite is a file in `suites/`. `--long` measures more rounds, `--among` only some contenders, `--write` puts the result into `docs/benchmarks.md`.
 * The exit code says only whether it could measure: a missed target is for a reader to judge, on a quiet machine.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, render, tablesOf, writeSection } from './report.mjs';
import { judge, Results } from './results.mjs';

const pathOf = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const { positionals: names, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: 'boolean', default: false },
    only: { type: 'string' },
    among: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

const known = readdirSync(pathOf('suites')).map((file) => file.replace('.mjs', ''));
if (names.length === 0 || names.some((name) => !known.includes(name))) {
  console.error(`usage: npm run bench -- <suite> …; suites: ${known.join(', ')}`);
  process.exit(2);
}
if (options.write && (options.only ?? options.among) !== undefined) {
  console.error('--write needs the whole suite; leave out --only and --among');
  process.exit(2);
}
if (!existsSync(pathOf('../../dist/index.js'))) {
  console.error('nothing is built; run npm run build first');
  process.exit(2);
}

/** Measure in a process of its own, so that one scenario's types and garbage do not slow down the next. */
async function measure(suite, scenario) {
  const flags = ['--expose-gc', '--no-warnings', ...(scenario.flags ?? [])];
  const args = [pathOf('scenario.mjs'), suite.name, scenario.name, options.long ? 'long' : 'short'];
  if (options.among !== undefined) args.push(options.among);
  const child = spawn(process.execPath, [...flags, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`the scenario ${scenario.name} ended with ${code}`);
  return JSON.parse(output);
}

for (const name of names) {
  const { suite } = await import(`./suites/${name}.mjs`);
  console.log(`# ${suite.title}\n\n${circumstances(suite)}\n`);
  const results = new Map();
  for (const scenario of suite.scenarios) {
    if (options.only !== undefined && scenario.name !== options.only) continue;
    if (process.stderr.isTTY) process.stderr.write(`measuring: ${scenario.title ?? scenario.name}\r\x1b[K`);
    const rounds = await measure(suite, scenario);
    for (const { name: table, part } of tablesOf(scenario)) {
      results.set(table, new Results(part === undefined ? rounds : rounds[part]));
    }
  }
  const body = render(suite, results, options.among === undefined ? judge(suite, results) : []);
  console.log(body);
  if (options.write) writeSection(pathOf('../../docs/benchmarks.md'), suite, body, results);
}
