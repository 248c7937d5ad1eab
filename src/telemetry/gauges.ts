import type { Unsubscribe } from '../core/emitter.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import { warnOf } from '../core/log.ts';
import { headerLines, isMetricName, type Labels, sampleLine } from './exposition.ts';

interface GaugeFamily {
  readonly help: string;
  readonly series: Map<string, { readonly labels: Labels; readonly read: () => number }>;
}

/** Numbers that go up and down, asked for when somebody looks. */
export class Gauges {
  readonly #families: Map<string, GaugeFamily> = new Map();
  readonly #reserved: ReadonlySet<string>;

  /** @param reserved names that other metrics have. */
  constructor(reserved: ReadonlySet<string>) {
    this.#reserved = reserved;
  }

  /** Add one series; the same name and labels again replace it. Returns the function that takes it out. */
  add(name: string, help: string, labels: Labels, read: () => number): Unsubscribe {
    this.#check(name, labels);
    const family = this.#families.get(name) ?? { help, series: new Map() };
    this.#families.set(name, family);
    const key = JSON.stringify(labels);
    const entry = { labels, read };
    family.series.set(key, entry);
    return () => {
      if (family.series.get(key) !== entry) return;
      family.series.delete(key);
      if (family.series.size === 0) this.#families.delete(name);
    };
  }

  #check(name: string, labels: Labels): void {
    const wrong = [name, ...Object.keys(labels)].find((text) => !isMetricName(text));
    if (wrong !== undefined || this.#reserved.has(name)) {
      throw new InvalidOptionsError('prometheus.gauge', [
        {
          field: wrong === undefined || wrong === name ? 'name' : 'labels',
          received: JSON.stringify(wrong ?? name),
          accepts:
            wrong === undefined ? 'a name that no other metric has' : 'letters, digits and underscores',
        },
      ]);
    }
  }

  render(): string {
    let text = '';
    for (const [name, { help, series }] of this.#families) {
      text += headerLines(name, help, 'gauge');
      for (const { labels, read } of series.values()) text += renderOne(name, labels, read);
    }
    return text;
  }
}

/** One broken gauge must not cost the whole scrape. */
function renderOne(name: string, labels: Labels, read: () => number): string {
  try {
    return sampleLine(name, labels, Number(read()));
  } catch (error) {
    warnOf(`the gauge ${name} threw`, error);
    return '';
  }
}
