/**
 * Simulates an overload under several defences, prints the goodput over time and draws it:
 *
 *     npm run simulate
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartOf } from './chart.ts';
import { defences, goodputShare, recoveryTime, simulate, world } from './overload.ts';

const step = 10;
const all = Object.values(defences);
const runs = [];
for (const defence of all) runs.push({ name: defence.name, seconds: await simulate(defence) });

const header = ['seconds', 'calls/s', ...all.map(({ name }) => name)];
const lines = [header.join(' | '), header.map(() => '---').join(' | ')];
for (let from = 0; from < world.end; from += step) {
  const part = runs[0]!.seconds.slice(from, from + step);
  const calls = Math.round(part.reduce((sum, second) => sum + second.calls, 0) / step);
  const shares = runs.map(({ seconds }) => `${Math.round(goodputShare(seconds, from, from + step) * 100)} %`);
  lines.push([`${from}–${from + step}`, calls, ...shares].join(' | '));
}
const after = runs.map(({ seconds }) => recoveryTime(seconds, world.overloadUntil));
const told = after.map((time) => (Number.isFinite(time) ? `${time} s` : 'never'));
lines.push(['recovered after', '', ...told].join(' | '));
process.stdout.write(`${lines.map((line) => `| ${line} |`).join('\n')}\n`);

const path = join(process.cwd(), 'docs/guides/overload.svg');
writeFileSync(path, chartOf(runs, world));
process.stdout.write(`drawn in ${path}\n`);
