/**
 * Runs worlds until so many sagas have ended, and prints what came of them as one line of JSON.
 *
 * Usage: node main.js <first seed> <step> <worlds> <sagas per world>; FOLLOW=<saga> prints what happens to it.
 */
import { engine } from './engine.ts';
import { simulate } from './simulate.ts';

const [first = 1, step = 1, worlds = 10, sagas = 250] = process.argv.slice(2).map(Number);
// Thousands of errors a second are made here, and nobody reads where.
Error.stackTraceLimit = 0;

const counts: Record<string, number> = {};
const breaches: string[] = [];
for (let world = 0; world < worlds && breaches.length === 0; world += 1) {
  const outcome = await simulate(engine, first + world * step, sagas, { follow: process.env.FOLLOW });
  for (const line of outcome.trace) console.log(line);
  for (const breach of outcome.breaches) breaches.push(`SEED=${outcome.seed} SAGAS=${sagas} ${breach}`);
  for (const [what, count] of outcome.counts) counts[what] = (counts[what] ?? 0) + count;
}
console.log(JSON.stringify({ worlds, sagas: worlds * sagas, breaches, counts, cpu: process.cpuUsage() }));
