import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { type Prometheus, prometheus } from '../../src/telemetry/prometheus.ts';
import { type MetricFamily, parseExposition } from './exposition-parser.ts';

const finished = (payload: object, name = 'edge') => ({
  primitive: 'request-router',
  name,
  type: 'finished',
  payload,
});

function scrape(metrics: Prometheus): Map<string, MetricFamily> {
  return parseExposition(metrics.render());
}

function samples(metrics: Prometheus, name: string) {
  return (scrape(metrics).get(name)?.samples ?? []).map(({ labels, value }) => ({ ...labels, value }));
}

describe('prometheus', () => {
  it('counts events by primitive, name and type', () => {
    const metrics = prometheus({ process: false });
    expect(metrics.render()).toBe('');
    for (let i = 0; i < 3; i += 1) {
      metrics.telemetry.record({ primitive: 'circuit-breaker', name: 'a', type: 'opened', payload: {} });
    }
    metrics.telemetry.record({ primitive: 'circuit-breaker', name: 'b', type: 'opened', payload: {} });
    expect(samples(metrics, 'holdfast_events_total')).toEqual([
      { primitive: 'circuit-breaker', name: 'a', type: 'opened', value: 3 },
      { primitive: 'circuit-breaker', name: 'b', type: 'opened', value: 1 },
    ]);
    expect(scrape(metrics).has('holdfast_duration_seconds')).toBe(false);
  });

  it('counts labels that are cut to the same text as one series', () => {
    const metrics = prometheus({ process: false });
    const long = 'n'.repeat(200);
    for (const name of [`${long}1`, `${long}2`]) {
      metrics.telemetry.record({ primitive: 'p', name, type: 't', payload: {} });
    }
    expect(samples(metrics, 'holdfast_events_total')).toEqual([
      { primitive: 'p', name: 'n'.repeat(128), type: 't', value: 2 },
    ]);
  });

  it('puts durations into cumulative buckets, in seconds', () => {
    const metrics = prometheus({ buckets: [0.1, 1], process: false });
    for (const duration of [50, 100, 500, 5_000, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      metrics.telemetry.record({ primitive: 'saga', name: 's', type: 'completed', payload: { duration } });
    }
    const labels = { primitive: 'saga', name: 's', type: 'completed' };
    expect(samples(metrics, 'holdfast_duration_seconds')).toEqual([
      { ...labels, le: '0.1', value: 2 },
      { ...labels, le: '1', value: 3 },
      { ...labels, le: '+Inf', value: 4 },
      { ...labels, value: 5.65 },
      { ...labels, value: 4 },
    ]);
  });

  it('labels requests by route, method and status class, and never by path', () => {
    const metrics = prometheus({ process: false });
    const request = { method: 'GET', route: '/orders/*', path: '/orders/17?token=x', duration: 3 };
    metrics.telemetry.record(finished({ ...request, status: 200 }));
    metrics.telemetry.record(finished({ ...request, status: 204 }));
    metrics.telemetry.record(finished({ ...request, status: 503 }));
    metrics.telemetry.record(finished({ method: 'BREW', path: '/x' }));
    expect(samples(metrics, 'holdfast_http_requests_total')).toEqual([
      { router: 'edge', route: '/orders/*', method: 'GET', status: '2xx', value: 2 },
      { router: 'edge', route: '/orders/*', method: 'GET', status: '5xx', value: 1 },
      { router: 'edge', route: 'none', method: 'other', status: 'none', value: 1 },
    ]);
    expect(metrics.render()).not.toContain('token');
  });

  it('keeps a bounded number of series, and counts the rest as other', () => {
    const metrics = prometheus({ maxSeries: 2, process: false });
    for (const name of ['a', 'b', 'c', 'd', 'a']) {
      metrics.telemetry.record({ primitive: 'p', name, type: 't', payload: {} });
    }
    const events = samples(metrics, 'holdfast_events_total') as { name: string; value: number }[];
    expect(events.map(({ name, value }) => [name, value])).toEqual([
      ['a', 2],
      ['b', 1],
      ['other', 2],
    ]);
    expect(samples(metrics, 'holdfast_metric_overflow_total')).toEqual([
      { metric: 'holdfast_events_total', value: 2 },
    ]);
  });

  it('keeps labels apart that are alike when written in a row', () => {
    const metrics = prometheus({ process: false });
    metrics.telemetry.record({ primitive: 'ab', name: 'c', type: 't', payload: {} });
    metrics.telemetry.record({ primitive: 'a', name: 'bc', type: 't', payload: {} });
    expect(samples(metrics, 'holdfast_events_total')).toHaveLength(2);
  });

  it('asks gauges when rendered; a broken one costs its own line only', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const metrics = prometheus({ prefix: 'shop', process: false });
    let size = 1;
    const off = metrics.gauge('queue_size', 'How many wait.\nNow.', { queue: 'mail' }, () => size);
    metrics.gauge('queue_size', 'ignored', { queue: 'sms' }, () => 7);
    metrics.gauge('queue_size', 'ignored', { queue: 'bad' }, () => {
      throw new Error('broken');
    });
    size = 5;
    expect(samples(metrics, 'shop_queue_size')).toEqual([
      { queue: 'mail', value: 5 },
      { queue: 'sms', value: 7 },
    ]);
    expect(warn).toHaveBeenCalled();
    off();
    off();
    expect(samples(metrics, 'shop_queue_size')).toEqual([{ queue: 'sms', value: 7 }]);
    warn.mockRestore();
  });

  it('refuses names that Prometheus would refuse or that are taken', () => {
    const metrics = prometheus({ prefix: '' });
    const read = () => 1;
    for (const name of ['with space', '1st', '__own', '', 'events_total', 'duration_seconds_bucket']) {
      expect(() => metrics.gauge(name, '', {}, read), name).toThrow(InvalidOptionsError);
    }
    expect(() => metrics.gauge('ok', '', { 'la-bel': 'x' }, read)).toThrow(InvalidOptionsError);
    expect(() => metrics.gauge('process_cpu_seconds_total', '', {}, read)).toThrow(InvalidOptionsError);
    expect(() => prometheus({ prefix: 'a b' })).toThrow(InvalidOptionsError);
    expect(() => prometheus({ buckets: [1, 1] })).toThrow(InvalidOptionsError);
    expect(() => prometheus({ maxSeries: 0 })).toThrow(InvalidOptionsError);
  });

  it('adds the process', () => {
    const families = scrape(prometheus());
    expect(families.get('process_resident_memory_bytes')?.samples[0]?.value).toBeGreaterThan(1e6);
    expect(families.get('process_start_time_seconds')?.type).toBe('gauge');
    expect(families.get('process_cpu_seconds_total')?.type).toBe('counter');
  });

  it('stays parseable whatever the labels hold, and keeps different labels apart', () => {
    const unit = fc.constantFrom('a', '"', '\\', '\n', '\r', '{', '}', '=', ',', ' ', '#', '\0', 'é', '😀');
    const label = fc.string({ unit });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(label, label, label), { selector: String, maxLength: 8 }),
        (names) => {
          const metrics = prometheus({ process: false });
          for (const [primitive, name, type] of names) {
            metrics.telemetry.record({ primitive, name, type, payload: { duration: 1 } });
          }
          const read = samples(metrics, 'holdfast_events_total') as unknown as Record<string, string>[];
          expect(read.map((s) => [s.primitive, s.name, s.type])).toEqual(names);
        },
      ),
      { numRuns: 50 },
    );
  });
});
