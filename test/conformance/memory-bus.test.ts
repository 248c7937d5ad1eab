import { describe, expect, it, vi } from 'vitest';
import { memoryBus } from '../../src/adapters/memory/bus.ts';
import { StoreError } from '../../src/core/errors.ts';
import { messageBusConformance } from '../../src/testing/conformance/message-bus.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

messageBusConformance({
  describe,
  it,
  name: 'memory',
  open: async () => {
    const runtime = testRuntime();
    const bus = memoryBus({ runtime });
    return {
      bus,
      until: async (condition) => {
        for (let turn = 0; !condition(); turn += 1) {
          expect(turn, 'it did not happen within a minute').toBeLessThan(600);
          await runtime.clock.advance(100);
        }
      },
      quiet: () => runtime.clock.advance(60_000),
      dispose: () => bus.close(),
    };
  },
});

describe('memoryBus', () => {
  const message = { id: '1', topic: 't', key: 'k', payload: null, headers: {} };

  it('refuses more than it may hold, before it gives any group the message', async () => {
    const bus = memoryBus({ capacity: 2, runtime: testRuntime() });
    const off = await bus.subscribe(['t'], async () => {}, { group: 'g' });
    off();
    await bus.publish(message);
    await bus.publish(message);
    await expect(bus.publish(message)).rejects.toThrow(StoreError);
  });

  it('handles no more at once than it may', async () => {
    const runtime = testRuntime();
    const bus = memoryBus({ concurrency: 3, runtime });
    const ends: (() => void)[] = [];
    await bus.subscribe(['t'], () => new Promise((resolve) => ends.push(resolve)), { group: 'g' });
    for (let n = 0; n < 5; n += 1) await bus.publish({ ...message, key: `k${n}` });
    await runtime.clock.advance(0);
    expect(ends).toHaveLength(3);
    ends[0]!();
    await runtime.clock.advance(0);
    expect(ends).toHaveLength(4);
  });

  it('aborts what does not end in time when it closes', async () => {
    const runtime = testRuntime();
    const bus = memoryBus({ closeTimeout: '2s', runtime });
    const signals: AbortSignal[] = [];
    await bus.subscribe(
      ['t'],
      (_, signal) => {
        signals.push(signal);
        return new Promise(() => {});
      },
      { group: 'g' },
    );
    await bus.publish(message);
    await runtime.clock.advance(0);
    const closed = bus.close();
    await runtime.clock.advance(1_999);
    expect(signals[0]?.aborted).toBe(false);
    await runtime.clock.advance(1);
    await closed;
    expect(signals[0]?.aborted).toBe(true);
  });

  it('lets many messages wait and many handlers listen without a warning of a leak', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const runtime = testRuntime();
    const bus = memoryBus({ runtime });
    let handled = 0;
    const handle = async (delivery: { readonly attempt: number }, signal: AbortSignal): Promise<void> => {
      signal.addEventListener('abort', () => {});
      if (delivery.attempt === 1) throw new Error('not yet');
      handled += 1;
    };
    await bus.subscribe(['t'], handle, { group: 'g' });
    for (let n = 0; n < 20; n += 1) await bus.publish({ ...message, key: `k${n}` });
    await runtime.clock.advance(1_000);
    expect(handled).toBe(20);
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it('refuses bad options and payloads that are not JSON', async () => {
    expect(() => memoryBus({ capacity: 0 })).toThrow('capacity');
    const bus = memoryBus();
    await expect(bus.subscribe([], async () => {}, { group: 'g' })).rejects.toThrow('topics');
    await expect(bus.publish({ ...message, payload: 1n as never })).rejects.toThrow('bigint');
  });
});
