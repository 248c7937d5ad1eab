/** Tables for people, on the terminal and in `docs/benchmarks.md`; both are Markdown. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import { bare } from './measure.mjs';

/** A number with as many digits as mean something. */
export function shown(value) {
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function tableOf(header, rows) {
  const lines = [header, ...rows].map((line) => line.map(String));
  const widths = header.map((_, column) => Math.max(3, ...lines.map((line) => line[column].length)));
  const text = (line) => `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [text(lines[0]), rule, ...lines.slice(1).map(text)].join('\n');
}

/** What is told of a scenario: itself, or each of its parts when it measures several things at once. */
export function tablesOf(scenario) {
  return scenario.parts?.map((part) => ({ subject: scenario.subject, ...part })) ?? [scenario];
}

/** A table of a scenario whose rounds give several numbers each: every number beside its ratio to the subject's. */
function columnsTable({ title, columns }, results, subject) {
  const header = ['', ...columns.flatMap(({ says }) => [says, `times ${subject}`])];
  const rows = results.contenders.map((name) => [
    name,
    ...columns.flatMap(({ name: column }) => {
      const by = results.by(column);
      return [shown(by.median(name)), name === subject ? '' : by.ratio(name, subject).toFixed(2)];
    }),
  ]);
  return `**${title}**\n\n${tableOf(header, rows)}`;
}

function scenarioTable(scenario, results, subject) {
  if (scenario.columns !== undefined) return columnsTable(scenario, results, subject);
  const hasBare = results.contenders.includes(bare);
  const header = ['', scenario.unit, ...(hasBare ? ['above bare'] : []), `times ${subject}`];
  const rows = results.contenders.map((name) => {
    const above = name === bare ? '' : shown(hasBare ? results.above(name) : 0);
    const ratio =
      name === subject || results.median(subject) === 0 ? '' : shown(results.ratio(name, subject));
    return [name, shown(results.median(name)), ...(hasBare ? [above] : []), ratio];
  });
  return `**${scenario.title}**\n\n${tableOf(header, rows)}`;
}

function targetTable(verdicts) {
  const rows = verdicts.map(({ says, measured, limit, atLeast, unit, met }) => [
    says,
    `${atLeast === undefined ? `≤ ${shown(limit)}` : `≥ ${shown(atLeast)}`} ${unit}`.trim(),
    `${shown(measured)} ${unit}`.trim(),
    met ? 'met' : '**missed**',
  ]);
  return tableOf(['target', 'limit', 'measured', ''], rows);
}

/** The whole result of a suite. */
export function render(suite, results, verdicts) {
  const tables = suite.scenarios
    .flatMap(tablesOf)
    .filter(({ name }) => results.has(name))
    .map((scenario) =>
      scenarioTable(scenario, results.get(scenario.name), scenario.subject ?? suite.subject),
    );
  if (verdicts.length > 0) tables.push('**Targets**', targetTable(verdicts));
  return tables.join('\n\n');
}

function machine() {
  const processors = cpus();
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return `${platform()} ${arch()}, ${processors.length} × ${processors[0]?.model.trim()}, ${gibibytes} GiB`;
}

function versionOf(name) {
  const url = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(url, 'utf8')).version}`;
}

function rawColumns(title, columns, results, contender) {
  return columns.map(({ name, says }) => {
    const numbers = results.by(name).raw(contender).map(shown);
    return `${title}, ${says}: ${numbers.join(' ')}`;
  });
}

/** The raw rounds, one line for each contender. */
function rawRows(suite, results) {
  const lines = suite.scenarios.flatMap(tablesOf).flatMap(({ name, columns }) => {
    const of = results.get(name);
    if (of === undefined) return [];
    return of.contenders.flatMap((contender) => {
      if (columns !== undefined) return rawColumns(`${name} · ${contender}`, columns, of, contender);
      const numbers = of.raw(contender).map((value) => (value < 100 ? value.toFixed(1) : Math.round(value)));
      return `${name} · ${contender}: ${numbers.join(' ')}`;
    });
  });
  return ['```text', ...lines, '```'].join('\n');
}

/** Where and with what it was measured. */
export function circumstances(suite) {
  return [
    `- Date: ${new Date().toISOString().slice(0, 10)}`,
    `- Machine: ${machine()}`,
    `- Node ${process.versions.node}, V8 ${process.versions.v8}`,
    ...(suite.packages.length === 0 ? [] : [`- With: ${suite.packages.map(versionOf).join(', ')}`]),
    ...(suite.notes === undefined ? [] : [`- ${suite.notes}`]),
  ].join('\n');
}

const preface = `# Benchmarks

Written by \`npm run bench -- <suite> --write\`; run it on your own machine. Contenders of a scenario take turns in short slices, round after round, in one process. Times are processor time. A number is the median of the rounds; _above bare_ is the median of what a call costs more than the bare call of its round. Ratios travel from machine to machine better than nanoseconds do.
`;

/** Replace the section of this suite and this major version of Node, or add it. */
export function writeSection(path, suite, body, results) {
  const major = process.versions.node.split('.')[0];
  const id = `${suite.name}, Node ${major}`;
  const begin = `<!-- begin ${id} -->`;
  const end = `<!-- end ${id} -->`;
  const heading = `## ${suite.title}, Node ${major}`;
  const raw = `### Raw rounds: ${suite.name}, Node ${major}\n\n${rawRows(suite, results)}`;
  const section = [begin, heading, circumstances(suite), body, raw, end].join('\n\n');
  const old = existsSync(path) ? readFileSync(path, 'utf8') : preface;
  const from = old.indexOf(begin);
  const to = old.indexOf(end);
  const replaced = from >= 0 && to > from;
  const next = replaced
    ? old.slice(0, from) + section + old.slice(to + end.length)
    : `${old.trimEnd()}\n\n${section}\n`;
  writeFileSync(path, next);
}
