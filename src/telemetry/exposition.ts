/**
 * Prometheus' text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): counters,
 * histograms and gauges with a bounded number of label sets, and their text.
 */

/** Names and values of labels, in the order in which they are written. */
export type Labels = Readonly<Record<string, string>>;

/** The value of every label of a series that came after the bound was reached. */
export const overflowLabel = 'other';

/** Longest label value that is written; what is longer is cut. */
const longestLabelValue = 128;

const namePattern = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Whether a text may be the name of a metric or a label. Names that start with two underscores are Prometheus' own. */
export function isMetricName(name: string): boolean {
  return namePattern.test(name) && !name.startsWith('__');
}

/** One line: a name, its labels, a number. */
export function sampleLine(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${formatNumber(value)}\n`;
}

/** The two comment lines above a metric's samples. */
export function headerLines(name: string, help: string, type: 'counter' | 'gauge' | 'histogram'): string {
  return `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`;
}

function escapeLabel(text: string): string {
  return cut(text).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

function cut(text: string): string {
  return text.length > longestLabelValue ? text.slice(0, longestLabelValue) : text;
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

/** Told of each observation that was counted under {@link overflowLabel} because a metric is full. */
export type OnOverflow = (metric: string) => void;

/** What every metric with labels is made of. */
export interface MetricShape {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Most label sets that are kept; further ones are folded into one. */
  readonly maxSeries: number;
  readonly onOverflow: OnOverflow;
}

/** The series of one metric, by label values. Labels come from traffic, so their number is bounded. */
class SeriesTable<T> {
  readonly #series: Map<string, { readonly labels: Labels; readonly value: T }> = new Map();
  readonly #shape: MetricShape;
  readonly #create: () => T;

  constructor(shape: MetricShape, create: () => T) {
    this.#shape = shape;
    this.#create = create;
  }

  at(values: readonly string[]): T {
    // The length in front keeps values that contain the separator apart. What is written the same is one series: two
    // with the same text would spoil the whole scrape.
    let key = '';
    for (const value of values) key += `${Math.min(value.length, longestLabelValue)}:${cut(value)}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known.value;
    const overflow = values.map(() => overflowLabel);
    if (this.#series.size >= this.#shape.maxSeries && values.some((value) => value !== overflowLabel)) {
      this.#shape.onOverflow(this.#shape.name);
      return this.at(overflow);
    }
    const labels = Object.fromEntries(this.#shape.labels.map((label, index) => [label, values[index] ?? '']));
    const value = this.#create();
    this.#series.set(key, { labels, value });
    return value;
  }

  /** As `at`, but undefined when there is no room for it: then each observation has to be told as one too many. */
  own(values: readonly string[]): T | undefined {
    if (this.#series.size >= this.#shape.maxSeries) return undefined;
    return this.at(values);
  }

  render(type: 'counter' | 'histogram', line: (labels: Labels, value: T) => string): string {
    if (this.#series.size === 0) return '';
    let text = headerLines(this.#shape.name, this.#shape.help, type);
    for (const { labels, value } of this.#series.values()) text += line(labels, value);
    return text;
  }
}

/** A number by labels that only grows. */
export class CounterMetric {
  readonly #name: string;
  readonly #table: SeriesTable<{ total: number }>;

  constructor(shape: MetricShape) {
    this.#name = shape.name;
    this.#table = new SeriesTable(shape, () => ({ total: 0 }));
  }

  /** Add one to the series of these label values, which stand in the order of the metric's labels. */
  add(...values: readonly string[]): void {
    this.#table.at(values).total += 1;
  }

  /** The series of these label values, for whoever adds to one often; undefined when it is folded into others. */
  series(...values: readonly string[]): { total: number } | undefined {
    return this.#table.own(values);
  }

  render(): string {
    return this.#table.render('counter', (labels, series) => sampleLine(this.#name, labels, series.total));
  }
}

/** The observations of one set of labels. */
export class HistogramSeries {
  readonly counts: number[];
  sum = 0;
  count = 0;
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    if (bucket < bounds.length) this.counts[bucket] = this.counts[bucket]! + 1;
    this.sum += value;
    this.count += 1;
  }
}

/** How often a value fell below each of several bounds, by labels. */
export class HistogramMetric {
  readonly #name: string;
  readonly #bounds: readonly number[];
  readonly #table: SeriesTable<HistogramSeries>;

  /** @param bounds ascending upper bounds; `+Inf` is added. */
  constructor(shape: MetricShape, bounds: readonly number[]) {
    this.#name = shape.name;
    this.#bounds = bounds;
    this.#table = new SeriesTable(shape, () => new HistogramSeries(bounds));
  }

  observe(value: number, ...labels: readonly string[]): void {
    this.#table.at(labels).observe(value);
  }

  /** The series of these label values, for whoever observes many values of one; undefined when it is folded into others. */
  series(...labels: readonly string[]): HistogramSeries | undefined {
    return this.#table.own(labels);
  }

  render(): string {
    return this.#table.render('histogram', (labels, series) => this.#lines(labels, series));
  }

  #lines(labels: Labels, series: HistogramSeries): string {
    let text = '';
    let below = 0;
    for (const [index, bound] of this.#bounds.entries()) {
      below += series.counts[index]!;
      text += sampleLine(`${this.#name}_bucket`, { ...labels, le: formatNumber(bound) }, below);
    }
    text += sampleLine(`${this.#name}_bucket`, { ...labels, le: '+Inf' }, series.count);
    text += sampleLine(`${this.#name}_sum`, labels, series.sum);
    return text + sampleLine(`${this.#name}_count`, labels, series.count);
  }
}
