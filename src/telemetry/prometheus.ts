import type { Unsubscribe } from '../core/emitter.ts';
import { parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime, type Telemetry, type TelemetryEvent } from '../core/runtime.ts';
import {
  CounterMetric,
  HistogramMetric,
  type HistogramSeries,
  headerLines,
  isMetricName,
  type Labels,
  type MetricShape,
  sampleLine,
} from './exposition.ts';
import { Gauges } from './gauges.ts';

/** Options of {@link prometheus}. */
export interface PrometheusOptions {
  /** Stands in front of every metric's name but the process's own. Default `holdfast`. */
  readonly prefix?: string | undefined;
  /** Upper bounds of the histograms' buckets in seconds, ascending. Default 1 ms to 10 s in 13 steps. */
  readonly buckets?: readonly number[] | undefined;
  /** Label sets kept for each metric; further ones are counted with every label `other`. Default 1,000. */
  readonly maxSeries?: number | undefined;
  /** Whether to add the process's start time, memory and CPU time. Default true. */
  readonly process?: boolean | undefined;
  /** Where the wall time comes from. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Metrics of everything that shares a runtime, in Prometheus' text format. Made by {@link prometheus}. */
export interface Prometheus {
  /** Give it to a runtime: `runtime: { telemetry: metrics.telemetry }`. */
  readonly telemetry: Telemetry;
  /** The HTTP content type of {@link Prometheus.render}. */
  readonly contentType: string;
  /** Everything counted so far, as text. */
  render(): string;
  /**
   * Add a number that is asked for at each {@link Prometheus.render}; the prefix is put before its name. The same
   * name and labels again replace it. A callback that throws costs its own line only.
   *
   * @returns the function that takes it out.
   * @throws InvalidOptionsError when a name is not letters, digits and underscores, or is taken by another metric.
   */
  gauge(name: string, help: string, labels: Labels, read: () => number): Unsubscribe;
}

const defaultBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const optionsSchema = z.strictObject({
  prefix: z
    .string()
    .refine((text) => text === '' || isMetricName(text), { error: 'letters, digits and underscores' })
    .default('holdfast'),
  buckets: z
    .array(z.number().positive())
    .min(1)
    .refine((bounds) => bounds.every((bound, index) => index === 0 || bound > bounds[index - 1]!), {
      error: 'ascending numbers of seconds',
    })
    .default(defaultBuckets),
  maxSeries: z.int().min(1).default(1_000),
  process: z.boolean().default(true),
  runtime: runtimeOption(),
});

/**
 * Count every event of the library for Prometheus:
 *
 * - `<prefix>_events_total{primitive,name,type}`: every event;
 * - `<prefix>_duration_seconds{primitive,name,type}`: histogram of every event that has a `duration`;
 * - `<prefix>_http_requests_total{router,route,method,status}` and `<prefix>_http_request_duration_seconds{…}`: requests
 *   that a router finished, `status` being the class, such as `2xx`.
 *
 * @throws InvalidOptionsError
 */
export function prometheus(options: PrometheusOptions = {}): Prometheus {
  const parsed = parseOptions('prometheus', optionsSchema, options);
  const { clock } = resolveRuntime(parsed.runtime);
  const startTime = clock.wallTime() / 1_000 - process.uptime();
  const prefix = parsed.prefix === '' ? '' : `${parsed.prefix}_`;
  const metrics = new EventMetrics(prefix, parsed.maxSeries, parsed.buckets);
  const gauges = new Gauges(metrics.names);
  return {
    telemetry: metrics,
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    render: () => metrics.render() + gauges.render() + (parsed.process ? processMetrics(startTime) : ''),
    gauge: (name, help, labels, read) => gauges.add(`${prefix}${name}`, help, labels, read),
  };
}

/** Requests with the same labels, and their series; undefined where there was no room for one. */
interface RequestKind {
  readonly name: string;
  readonly method: string;
  readonly status: string;
  readonly events: { total: number } | undefined;
  readonly requests: { total: number } | undefined;
  readonly durations: HistogramSeries | undefined;
}

class EventMetrics implements Telemetry {
  readonly #events: CounterMetric;
  readonly #durations: HistogramMetric;
  readonly #requests: CounterMetric;
  readonly #requestDurations: HistogramMetric;
  readonly #overflow: CounterMetric;
  /** The kinds of requests that were seen, by route. */
  readonly #kinds: Map<string, RequestKind[]> = new Map();
  /** Every name that a gauge must not have. */
  readonly names: Set<string> = new Set(processMetricNames);

  constructor(prefix: string, maxSeries: number, buckets: readonly number[]) {
    const shape = (name: string, help: string, ...labels: string[]): MetricShape => {
      for (const suffix of ['', '_bucket', '_sum', '_count']) this.names.add(`${prefix}${name}${suffix}`);
      return { name: `${prefix}${name}`, help, labels, maxSeries, onOverflow: (m) => this.#overflow.add(m) };
    };
    const event = ['primitive', 'name', 'type'];
    const request = ['router', 'route', 'method', 'status'];
    this.#overflow = new CounterMetric(
      shape('metric_overflow_total', 'Observations folded into "other" because a metric is full.', 'metric'),
    );
    this.#events = new CounterMetric(shape('events_total', 'Events of each primitive.', ...event));
    this.#durations = new HistogramMetric(
      shape('duration_seconds', 'How long what each event tells of took.', ...event),
      buckets,
    );
    this.#requests = new CounterMetric(shape('http_requests_total', 'Finished HTTP requests.', ...request));
    this.#requestDurations = new HistogramMetric(
      shape('http_request_duration_seconds', 'How long HTTP requests took.', ...request),
      buckets,
    );
  }

  record(event: TelemetryEvent): void {
    const { primitive, name, type } = event;
    const duration = secondsOf(event.payload);
    if (primitive === 'request-router' && type === 'finished') {
      this.#recordRequest(event, duration);
      return;
    }
    this.#events.add(primitive, name, type);
    if (duration !== undefined) {
      this.#durations.observe(duration, primitive, name, type);
    }
  }

  /** Requests are many and alike: the series of each kind are found once. */
  #recordRequest({ primitive, name, type, payload }: TelemetryEvent, duration: number | undefined): void {
    const [route, method, status] = requestLabels(payload);
    let kinds = this.#kinds.get(route);
    if (kinds === undefined) {
      kinds = [];
      this.#kinds.set(route, kinds);
    }
    let kind = kinds.find(
      (known) => known.status === status && known.method === method && known.name === name,
    );
    if (kind === undefined) {
      kind = {
        name,
        method,
        status,
        events: this.#events.series(primitive, name, type),
        requests: this.#requests.series(name, route, method, status),
        durations: this.#requestDurations.series(name, route, method, status),
      };
      // Without room for its series there is none to remember them either.
      if (kind.requests !== undefined) kinds.push(kind);
    }
    if (kind.events === undefined) this.#events.add(primitive, name, type);
    else kind.events.total += 1;
    if (kind.requests === undefined) this.#requests.add(name, route, method, status);
    else kind.requests.total += 1;
    if (duration === undefined) return;
    if (kind.durations === undefined) this.#requestDurations.observe(duration, name, route, method, status);
    else kind.durations.observe(duration);
  }

  render(): string {
    return [this.#events, this.#durations, this.#requests, this.#requestDurations, this.#overflow]
      .map((metric) => metric.render())
      .join('');
  }
}

function secondsOf(payload: object): number | undefined {
  const { duration } = payload as { duration?: unknown };
  return typeof duration === 'number' && duration >= 0 && Number.isFinite(duration)
    ? duration / 1_000
    : undefined;
}

/** A client may send any word as its method; only these become a label. */
const knownMethods = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
]);

const statusClasses: readonly (string | undefined)[] = [undefined, '1xx', '2xx', '3xx', '4xx', '5xx'];

function requestLabels(payload: object): [route: string, method: string, status: string] {
  const { route, method, status } = payload as { route?: unknown; method?: unknown; status?: unknown };
  return [
    typeof route === 'string' ? route : 'none',
    typeof method === 'string' && knownMethods.has(method) ? method : 'other',
    typeof status === 'number' ? (statusClasses[Math.floor(status / 100)] ?? 'none') : 'none',
  ];
}

const processMetricNames = [
  'process_start_time_seconds',
  'process_resident_memory_bytes',
  'process_cpu_seconds_total',
];

/** The process's own metrics, under the names that Prometheus' client libraries share. */
function processMetrics(startTime: number): string {
  const { user, system } = process.cpuUsage();
  const lines: [name: string, help: string, type: 'counter' | 'gauge', value: number][] = [
    ['process_start_time_seconds', 'Start time since 1970 in seconds.', 'gauge', startTime],
    ['process_resident_memory_bytes', 'Resident memory in bytes.', 'gauge', process.memoryUsage.rss()],
    ['process_cpu_seconds_total', 'CPU time in seconds.', 'counter', (user + system) / 1e6],
  ];
  return lines
    .map(([name, help, type, value]) => headerLines(name, help, type) + sampleLine(name, {}, value))
    .join('');
}
