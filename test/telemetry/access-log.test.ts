import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { accessLog } from '../../src/telemetry/access-log.ts';
import { combineTelemetry } from '../../src/telemetry/combine-telemetry.ts';
import type { ManualClock } from '../../src/testing/manual-clock.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

function logged(payload: object, options: { query?: boolean; type?: string } = {}): string[] {
  const lines: string[] = [];
  const log = accessLog({ write: (line) => lines.push(line), query: options.query, runtime: testRuntime() });
  log.record({ primitive: 'request-router', name: 'edge', type: options.type ?? 'finished', payload });
  return lines;
}

describe('accessLog', () => {
  it('writes one line of JSON for a finished request', () => {
    const lines = logged({
      method: 'GET',
      path: '/orders/17',
      route: '/orders/*',
      status: 200,
      duration: 12.34567,
      service: 'orders',
      instance: 'orders-1',
      requestId: 'r1',
      clientAddress: '10.0.0.9',
      bytes: 120,
    });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({
      time: '2030-01-01T00:00:00.000Z',
      router: 'edge',
      method: 'GET',
      path: '/orders/17',
      status: 200,
      bytes: 120,
      duration_ms: 12.346,
      route: '/orders/*',
      service: 'orders',
      instance: 'orders-1',
      request_id: 'r1',
      client: '10.0.0.9',
    });
    expect(logged({ method: 'GET' }, { type: 'started' })).toEqual([]);
  });

  it('leaves out the query and whatever else a payload holds, unless asked for the query', () => {
    const payload = { method: 'GET', path: '/login?token=canary', headers: { authorization: 'canary' } };
    expect(logged(payload).join()).not.toContain('canary');
    expect(JSON.parse(logged(payload, { query: true })[0]!).path).toBe('/login?token=canary');
  });

  it('writes the message of an error', () => {
    expect(JSON.parse(logged({ path: '/', status: 502, error: new Error('refused') })[0]!).error).toBe(
      'refused',
    );
  });

  it('keeps every request on one line, whatever it sent', () => {
    const breaks = /[\p{Cc}\u2028\u2029]/u;
    const unit = fc.constantFrom(...'a"\\{}\r\n\t\0\b\x1b\x7f\x80\x85\x9f\u2028\u2029\ud800é😀');
    const hostile = fc.string({ unit });
    fc.assert(
      fc.property(hostile, hostile, (path, method) => {
        const [line] = logged({ path, method, status: 200 }, { query: true });
        expect(line!.endsWith('\n')).toBe(true);
        expect(line!.slice(0, -1)).not.toMatch(breaks);
        expect(JSON.parse(line!)).toMatchObject({ path, method });
      }),
    );
  });

  it('gathers lines until there are enough, or they have waited long enough, or it is told to write', async () => {
    const runtime = testRuntime();
    const written: string[] = [];
    const log = accessLog({ write: (lines) => written.push(lines), buffer: 300, flushAfter: '1s', runtime });
    const record = (path: string): void =>
      log.record({ primitive: 'request-router', name: 'edge', type: 'finished', payload: { path } });
    record('/1');
    record('/2');
    expect(written).toEqual([]);
    await (runtime.clock as ManualClock).advance(1_000);
    expect(written.map((text) => text.split('\n').length)).toEqual([3]);
    for (let index = 0; index < 10; index += 1) record('/many');
    expect(written.length).toBeGreaterThan(2);
    expect(written.every((text) => text.endsWith('}\n'))).toBe(true);
    record('/last');
    log.flush();
    log.flush();
    expect(written.at(-1)).toContain('/last');
    expect(written.join('').trim().split('\n')).toHaveLength(13);
    expect((runtime.clock as ManualClock).pending).toBe(0);
  });

  it('says that a client went away, and which trace it was', () => {
    const [line] = logged({ path: '/', status: 499, aborted: true, traceId: 'abc', query: 'a=b' });
    expect(JSON.parse(line!)).toMatchObject({ status: 499, aborted: true, trace_id: 'abc', path: '/' });
    expect(JSON.parse(logged({ path: '/', query: 'a=b' }, { query: true })[0]!).path).toBe('/?a=b');
  });

  it('cuts what is too long', () => {
    expect(JSON.parse(logged({ path: '/'.padEnd(100_000, 'x') })[0]!).path).toHaveLength(2_048);
  });

  it('writes only the routers that are wanted, and refuses bad options', () => {
    const lines: string[] = [];
    const log = accessLog({ write: (line) => lines.push(line), routers: (name) => name !== 'admin' });
    for (const name of ['edge', 'admin']) {
      log.record({ primitive: 'request-router', name, type: 'finished', payload: {} });
    }
    expect(lines.map((line) => JSON.parse(line).router)).toEqual(['edge']);
    expect(() => accessLog({ write: 'stdout' } as never)).toThrow(InvalidOptionsError);
  });
});

describe('combineTelemetry', () => {
  const event = { primitive: 'p', name: 'n', type: 't', payload: {} };

  it('tells each in order; one that throws does not keep the event from the others', async () => {
    const seen: string[] = [];
    const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
    combineTelemetry(
      { record: () => void seen.push('first') },
      undefined,
      {
        record: () => {
          throw new Error('broken');
        },
      },
      { record: () => void seen.push('last') },
    ).record(event);
    expect(seen).toEqual(['first', 'last']);
    expect((await warning).message).toContain('broken');
  });

  it('is the only one when there is one, and does nothing when there is none', () => {
    const one = { record: () => {} };
    expect(combineTelemetry(undefined, one)).toBe(one);
    expect(() => combineTelemetry().record(event)).not.toThrow();
  });
});
