import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Emitter } from '../../src/core/emitter.ts';
import type { TelemetryEvent } from '../../src/core/runtime.ts';

interface Events {
  readonly opened: { readonly failures: number };
  readonly closed: object;
}

const warnings: string[] = [];
beforeEach(() => {
  warnings.length = 0;
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warnings.push(String(warning)));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const create = (record?: (event: TelemetryEvent) => void): Emitter<Events> =>
  new Emitter<Events>('circuit-breaker', 'payments', record === undefined ? undefined : { record });

describe('Emitter', () => {
  it('tells every listener, in order, and then the telemetry', () => {
    const heard: unknown[] = [];
    const emitter = create((event) => heard.push(event));
    emitter.on('opened', (payload) => heard.push(['first', payload]));
    emitter.on('opened', (payload) => heard.push(['second', payload]));
    emitter.on('closed', () => heard.push('never'));
    const payload = { failures: 3 };
    emitter.emit('opened', payload);
    expect(heard).toEqual([
      ['first', payload],
      ['second', payload],
      { primitive: 'circuit-breaker', name: 'payments', type: 'opened', payload },
    ]);
  });

  it('isolates a listener that throws, and says which event it was', () => {
    const heard: string[] = [];
    const emitter = create(() => heard.push('telemetry'));
    emitter.on('opened', () => {
      throw new Error('listener broke');
    });
    emitter.on('opened', () => heard.push('second'));
    emitter.emit('opened', { failures: 1 });
    expect(heard).toEqual(['second', 'telemetry']);
    expect(warnings).toEqual([
      expect.stringContaining("a listener of 'opened' on circuit-breaker payments threw"),
    ]);
    expect(warnings[0]).toContain('listener broke');
  });

  it('isolates an async listener that rejects', async () => {
    const emitter = create();
    emitter.on('closed', async () => {
      throw new Error('later');
    });
    emitter.emit('closed', {});
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([expect.stringContaining('later')]);
  });

  it.each([
    ['nothing', undefined],
    ['no prototype', Object.create(null)],
    ['a symbol', Symbol('broke')],
  ])('survives a listener that throws %s', (_what, thrown) => {
    const emitter = create();
    emitter.on('closed', () => {
      throw thrown;
    });
    expect(() => emitter.emit('closed', {})).not.toThrow();
    expect(warnings).toHaveLength(1);
  });

  it('isolates telemetry that throws', () => {
    const emitter = create(() => {
      throw new Error('exporter is down');
    });
    emitter.emit('closed', {});
    expect(warnings).toEqual([expect.stringContaining('exporter is down')]);
  });

  it('ends one subscription only, also of a listener that subscribed twice, and does so once', () => {
    const emitter = create();
    const listener = vi.fn();
    const off = emitter.on('closed', listener);
    emitter.on('closed', listener);
    off();
    off();
    emitter.emit('closed', {});
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('lets listeners come and go while it tells', () => {
    const emitter = create();
    const heard: string[] = [];
    const off = emitter.on('closed', () => {
      heard.push('once');
      off();
      emitter.on('closed', () => heard.push('late'));
    });
    emitter.on('closed', () => heard.push('always'));
    emitter.emit('closed', {});
    expect(heard).toEqual(['once', 'always']);
    emitter.emit('closed', {});
    expect(heard).toEqual(['once', 'always', 'always', 'late']);
  });

  it('wants a payload only when somebody would see it', () => {
    const emitter = create();
    expect(emitter.wants('opened')).toBe(false);
    const off = emitter.on('opened', () => {});
    expect(emitter.wants('opened')).toBe(true);
    expect(emitter.wants('closed')).toBe(false);
    off();
    expect(emitter.wants('opened')).toBe(false);
    expect(create(() => {}).wants('opened')).toBe(true);
  });

  it('takes names that plain objects inherit', () => {
    const emitter = new Emitter<{ readonly constructor: object; readonly __proto__: object }>(
      'p',
      'n',
      undefined,
    );
    const heard: string[] = [];
    emitter.on('constructor', () => heard.push('constructor'));
    emitter.emit('constructor', {});
    emitter.emit('__proto__', {});
    expect(heard).toEqual(['constructor']);
  });
});
