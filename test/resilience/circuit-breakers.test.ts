import { describe, expect, it } from 'vitest';
import { CircuitOpenError, InvalidOptionsError } from '../../src/core/errors.ts';
import { CircuitBreakers, type CircuitBreakersOptions } from '../../src/resilience/circuit-breakers.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

function tenants(options: Partial<CircuitBreakersOptions> = {}): {
  readonly breakers: CircuitBreakers;
  readonly runtime: TestRuntime;
  readonly fail: (key: string, times?: number) => Promise<void>;
} {
  const runtime = testRuntime();
  const breakers = new CircuitBreakers({ name: 'tenants', minimumCalls: 2, runtime, ...options });
  const fail = async (key: string, times = 1): Promise<void> => {
    for (let call = 0; call < times; call += 1) {
      await breakers.run(key, () => Promise.reject(new Error('down'))).catch(() => {});
    }
  };
  return { breakers, runtime, fail };
}

describe('CircuitBreakers', () => {
  it('makes one breaker for each key, which opens alone and names its key', async () => {
    const { breakers, fail } = tenants();
    await fail('https://a:443', 2);
    await expect(breakers.run('https://a:443', () => 1)).rejects.toThrow(
      'circuit breaker tenants[https://a:443] is open',
    );
    await expect(breakers.run('https://a:443', () => 1)).rejects.toBeInstanceOf(CircuitOpenError);
    await expect(breakers.run('b', () => 1)).resolves.toBe(1);
    expect(breakers.for('b')).toBe(breakers.for('b'));
    expect(breakers.size).toBe(2);
  });

  it('forgets the one asked for longest ago beyond its capacity; looking is not asking', () => {
    const { breakers } = tenants({ capacity: 2 });
    const evicted: string[] = [];
    breakers.on('evicted', ({ key }) => evicted.push(key));
    breakers.for('a');
    breakers.for('b');
    breakers.for('a');
    breakers.peek('b');
    breakers.for('c');
    expect(evicted).toEqual(['b']);
    expect([...breakers].map(([key]) => key)).toEqual(['a', 'c']);
    expect(breakers.peek('b')).toBeUndefined();
  });

  it('keeps what is open, half-open or forced while a closed one can be forgotten', async () => {
    const { breakers, runtime, fail } = tenants({ capacity: 4, openFor: '1s' });
    await fail('half-open', 2);
    await runtime.clock.advance(1_000);
    expect(breakers.for('half-open').state).toBe('half-open');
    await fail('open', 2);
    breakers.for('forced').force('disabled');
    for (const key of ['a', 'b', 'c']) breakers.for(key);
    expect([...breakers].map(([key]) => key)).toEqual(['half-open', 'open', 'forced', 'c']);
    await expect(breakers.run('open', () => 1)).rejects.toBeInstanceOf(CircuitOpenError);
  });

  it('forgets the open one asked for longest ago where none is closed, never the one that is asked for', async () => {
    const { breakers, fail } = tenants({ capacity: 2 });
    for (const key of ['a', 'b', 'c']) await fail(key, 2);
    expect([...breakers].map(([key]) => key)).toEqual(['b', 'c']);
    const made = breakers.for('d');
    expect(breakers.for('d')).toBe(made);
  });

  it('looks for a closed one among the 256 asked for longest ago, so that what is dead for long gives way', async () => {
    const { breakers, fail } = tenants({ capacity: 300 });
    for (let key = 0; key < 256; key += 1) await fail(`dead-${key}`, 2);
    for (let key = 0; key < 44; key += 1) breakers.for(`well-${key}`);
    breakers.for('new');
    expect(breakers.peek('dead-0')).toBeUndefined();
    expect(breakers.peek('well-0')).toBeDefined();
    // Now one that is closed is within sight.
    breakers.for('newer');
    expect(breakers.peek('dead-1')).toBeDefined();
    expect(breakers.peek('well-0')).toBeUndefined();
  });

  it('stays within its capacity, whatever keys come', () => {
    const { breakers } = tenants({ capacity: 10 });
    for (let key = 0; key < 1_000; key += 1) breakers.for(`${key}`);
    for (const key of ['__proto__', 'constructor', '']) breakers.for(key);
    expect(breakers.size).toBe(10);
    expect(breakers.delete('__proto__')).toBe(true);
    expect(breakers.delete('__proto__')).toBe(false);
    breakers.for('__proto__');
    expect(breakers.size).toBe(10);
  });

  it('tells events with their key, of breakers made before and after somebody listened', async () => {
    const { breakers, fail } = tenants();
    breakers.for('before');
    const seen: string[] = [];
    const off = breakers.on('opened', ({ key, reason }) => seen.push(`${key}: ${reason}`));
    await fail('before', 2);
    await fail('after', 2);
    off();
    await fail('later', 2);
    expect(seen).toEqual(['before: failure-rate', 'after: failure-rate']);
  });

  it('tells an event to two listeners once each', async () => {
    const { breakers, fail } = tenants();
    const seen: string[] = [];
    const off = breakers.on('failed', () => seen.push('first'));
    breakers.on('failed', () => seen.push('second'));
    await fail('a');
    off();
    await fail('a');
    expect(seen).toEqual(['first', 'second', 'second']);
  });

  it('tells telemetry each event once, under the name of the breaker', async () => {
    const { breakers, runtime, fail } = tenants();
    breakers.on('opened', () => {});
    await fail('a', 2);
    expect(runtime.events.filter(({ type }) => type === 'opened')).toMatchObject([{ name: 'tenants[a]' }]);
  });

  it('reconfigures all, those to come included', async () => {
    const { breakers, fail } = tenants();
    breakers.for('a');
    breakers.reconfigure({ consecutiveFailures: 1 });
    expect(() => breakers.reconfigure({ failureRate: 7 })).toThrow(InvalidOptionsError);
    await fail('a');
    await fail('b');
    expect([...breakers].map(([, breaker]) => breaker.state)).toEqual(['open', 'open']);
  });

  it.each([{ capacity: 0 }, { capacity: 1.5 }, { name: '' }, { initialState: {} }, { failureRate: 2 }])(
    'refuses %j',
    (options) => {
      expect(() => tenants(options as never)).toThrow(InvalidOptionsError);
    },
  );
});
