/** One sample line. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with all that belongs to it. */
export interface MetricFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const samplePattern =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/;
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"/g;

/**
 * A strict reader of the text exposition format: throws at anything that Prometheus' own parser refuses, and at what it
 * would quietly take for something else (a family in two places, the same series twice, buckets that shrink).
 */
export function parseExposition(text: string): Map<string, MetricFamily> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, MetricFamily>();
  let current: { name: string; family: MetricFamily } | undefined;
  let help: { name: string; text: string } | undefined;
  const seen = new Set<string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      if (families.has(comment[2]!)) throw new Error(`${comment[2]} appears twice`);
      help = { name: comment[2]!, text: comment[3]! };
    } else if (comment?.[1] === 'TYPE') {
      if (help === undefined || help.name !== comment[2]) throw new Error(`TYPE without HELP: ${line}`);
      if (!['counter', 'gauge', 'histogram'].includes(comment[3]!)) throw new Error(`unknown type: ${line}`);
      current = { name: help.name, family: { type: comment[3]!, help: help.text, samples: [] } };
      families.set(current.name, current.family);
    } else {
      const sample = parseSample(line);
      if (current === undefined || !belongs(sample.name, current)) throw new Error(`stray sample: ${line}`);
      const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(key)) throw new Error(`the same series twice: ${line}`);
      seen.add(key);
      current.family.samples.push(sample);
    }
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

function parseSample(line: string): Sample {
  const match = samplePattern.exec(line);
  if (match === null) throw new Error(`not a sample: ${JSON.stringify(line)}`);
  const labels: Record<string, string> = {};
  for (const [, label, raw] of (match[2] ?? '').matchAll(labelPattern)) {
    if (label! in labels) throw new Error(`label ${label} twice: ${line}`);
    labels[label!] = raw!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  const value = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (Number.isNaN(value) && match[3] !== 'NaN') throw new Error(`not a number: ${line}`);
  return { name: match[1]!, labels, value };
}

function belongs(sample: string, { name, family }: { name: string; family: MetricFamily }): boolean {
  if (family.type !== 'histogram') return sample === name;
  return [`${name}_bucket`, `${name}_sum`, `${name}_count`].includes(sample);
}

function checkFamily(name: string, family: MetricFamily): void {
  if (family.samples.length === 0) throw new Error(`${name} has no samples`);
  if (family.type === 'counter' && family.samples.some((s) => !(s.value >= 0)))
    throw new Error(`${name} < 0`);
  if (family.type !== 'histogram') return;
  for (const samples of groupBySeries(family.samples).values()) checkHistogram(name, samples);
}

function seriesKey(sample: Sample): string {
  return JSON.stringify(Object.entries(sample.labels).filter(([label]) => label !== 'le'));
}

function groupBySeries(samples: readonly Sample[]): Map<string, Sample[]> {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    groups.set(seriesKey(sample), [...(groups.get(seriesKey(sample)) ?? []), sample]);
  }
  return groups;
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const buckets = samples.filter((s) => s.name.endsWith('_bucket'));
  const bounds = buckets.map((s) =>
    s.labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(s.labels.le),
  );
  if (bounds.at(-1) !== Number.POSITIVE_INFINITY) throw new Error(`${name} has no +Inf bucket`);
  for (let index = 1; index < buckets.length; index += 1) {
    if (!(bounds[index]! > bounds[index - 1]!)) throw new Error(`${name}: bounds do not ascend`);
    if (buckets[index]!.value < buckets[index - 1]!.value) throw new Error(`${name}: buckets shrink`);
  }
  const count = samples.find((s) => s.name.endsWith('_count'))?.value;
  if (count !== buckets.at(-1)?.value) throw new Error(`${name}: _count is not the +Inf bucket`);
  if (!samples.some((s) => s.name.endsWith('_sum'))) throw new Error(`${name} has no _sum`);
}
