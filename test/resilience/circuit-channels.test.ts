import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from 'vitest';
import { publishChange } from '../../src/resilience/circuit-channels.ts';
import type { CircuitClosed } from '../../src/resilience/circuit-types.ts';
import { flush, smallBreaker } from './support.ts';

const events = ['opened', 'halfOpened', 'closed', 'forced', 'wouldTrip', 'imported'];
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function hear(): [string, object][] {
  const heard: [string, object][] = [];
  for (const event of events) {
    const listener = (message: unknown): unknown => heard.push([event, message as object]);
    subscribe(`holdfast:circuit-breaker:${event}`, listener);
    ends.push(() => unsubscribe(`holdfast:circuit-breaker:${event}`, listener));
  }
  return heard;
}

describe('diagnostics channels of the circuit breaker', () => {
  it('tell every change of state, of breakers that nobody else listens to', async () => {
    const heard = hear();
    const { breaker, runtime, ok, open } = smallBreaker();
    await open();
    await runtime.clock.advance(1_000);
    await ok();
    await ok();
    breaker.force('disabled');
    expect(heard).toEqual([
      [
        'opened',
        expect.objectContaining({ breaker: 'test', from: 'closed', reason: 'failure-rate', wait: 1_000 }),
      ],
      ['halfOpened', { breaker: 'test', permits: 2 }],
      ['closed', { breaker: 'test', from: 'half-open', reason: 'recovered' }],
      ['forced', { breaker: 'test', from: 'closed', to: 'disabled' }],
    ]);
  });

  it('tell what metrics-only would have done, and an import', async () => {
    const heard = hear();
    const { breaker, open } = smallBreaker();
    breaker.force('metrics-only');
    await open();
    breaker.importState(smallBreaker().breaker.exportState());
    expect(heard.map(([event]) => event)).toEqual(['forced', 'wouldTrip', 'imported']);
  });

  it('are told after the state has changed', async () => {
    const { breaker, open } = smallBreaker();
    const states: string[] = [];
    const listener = (): unknown => states.push(breaker.state);
    subscribe('holdfast:circuit-breaker:opened', listener);
    ends.push(() => unsubscribe('holdfast:circuit-breaker:opened', listener));
    await open();
    expect(states).toEqual(['open']);
  });

  it('build nothing while nobody subscribes', async () => {
    const untouchable = new Proxy({} as CircuitClosed, {
      ownKeys: () => {
        throw new Error('the payload was read');
      },
    });
    expect(channel('holdfast:circuit-breaker:closed').hasSubscribers).toBe(false);
    expect(() => publishChange('test', { type: 'closed', payload: untouchable })).not.toThrow();
    hear();
    expect(() => publishChange('test', { type: 'closed', payload: untouchable })).toThrow('was read');
    await flush();
  });
});
