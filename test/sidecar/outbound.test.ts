import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { CircuitOpenError, NoInstanceError, ProblemError, UpstreamError } from '../../src/core/errors.ts';
import { advertisedHost, localUrl } from '../../src/sidecar/advertise.ts';
import { serviceOf } from '../../src/sidecar/outbound.ts';
import { isUnreachable, ServicePolicies } from '../../src/sidecar/service-policies.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

describe('serviceOf', () => {
  it('is the host', () => {
    expect(serviceOf({ host: 'orders' })).toBe('orders');
    expect(serviceOf({ host: 'orders.v2' })).toBe('orders.v2');
  });

  it.each(['', 'localhost', '127.0.0.1', '169.254.169.254', '[::1]', '~x', 'x'.repeat(200)])(
    'refuses %j, which names no service',
    (host) => {
      expect(() => serviceOf({ host })).toThrow(ProblemError);
    },
  );
});

function refused(): UpstreamError {
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  return new UpstreamError('orders', 'refused', { cause, retryable: true });
}

describe('isUnreachable', () => {
  it('sees a failure to connect behind other errors, and nothing else', () => {
    expect(isUnreachable(refused())).toBe(true);
    expect(isUnreachable(new UpstreamError('orders', 'answered 503', { retryable: true }))).toBe(false);
    expect(isUnreachable(Object.assign(new Error(), { code: 'ECONNRESET' }))).toBe(false);
    const loop = new Error('loop');
    loop.cause = loop;
    expect(isUnreachable(loop)).toBe(false);
    expect(isUnreachable('ECONNREFUSED')).toBe(false);
  });
});

describe('ServicePolicies', () => {
  const brokenAfter = (good: number, error: () => Error) => {
    let calls = 0;
    return {
      get calls() {
        return calls;
      },
      work: async () => {
        calls += 1;
        if (calls > good) throw error();
        return 'fine';
      },
    };
  };
  const failed = () => new UpstreamError('orders', 'answered 500', { retryable: true });

  it('gives each service one policy, which remembers', () => {
    const policies = new ServicePolicies({}, {}, testRuntime());
    expect(policies.of('orders')).toBe(policies.of('orders'));
    expect(policies.of('orders')).not.toBe(policies.of('payments'));
  });

  it('tries again, and the breaker counts every attempt', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies({ breaker: { minimumCalls: 3, openFor: '1s' } }, {}, runtime);
    const service = brokenAfter(0, failed);
    await expect(runtime.clock.settle(policies.of('orders').run(service.work))).rejects.toThrow(
      'answered 500',
    );
    expect(service.calls).toBe(3);
    // At once: retrying would hold the caller until the breaker lets a probe through.
    const since = runtime.clock.now();
    const again = runtime.clock.settle(policies.of('orders').run(service.work));
    await expect(again).rejects.toBeInstanceOf(CircuitOpenError);
    expect(runtime.clock.now()).toBe(since);
    expect(service.calls).toBe(3);
    expect(runtime.clock.pending).toBe(0);
  });

  it('goes to another instance at once when one cannot be reached, unseen by the breaker', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies({ breaker: { consecutiveFailures: 1 }, retry: false }, {}, runtime);
    let calls = 0;
    const work = async () => {
      calls += 1;
      if (calls % 2 === 1) throw refused();
      return 'fine';
    };
    for (let call = 0; call < 20; call += 1) {
      await expect(runtime.clock.settle(policies.of('orders').run(work))).resolves.toBe('fine');
    }
    expect(runtime.clock.now()).toBe(0);
    expect(runtime.events.some(({ type }) => type === 'opened')).toBe(false);
  });

  it('counts a service none of whose instances can be reached as failing', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies({ breaker: { consecutiveFailures: 1 }, retry: false }, {}, runtime);
    const service = brokenAfter(0, refused);
    await expect(runtime.clock.settle(policies.of('orders').run(service.work))).rejects.toThrow('refused');
    expect(service.calls).toBe(3);
    await expect(policies.of('orders').run(service.work)).rejects.toBeInstanceOf(CircuitOpenError);
  });

  it('does not open for a service that nobody offers: it must be reached as soon as it is there', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies({ breaker: { consecutiveFailures: 1 }, retry: false }, {}, runtime);
    const none = () => new NoInstanceError('orders', 'none is registered');
    const service = brokenAfter(0, none);
    for (let call = 0; call < 3; call += 1) {
      await expect(runtime.clock.settle(policies.of('orders').run(service.work))).rejects.toBeInstanceOf(
        NoInstanceError,
      );
    }
  });

  it('limits each attempt, not all of them together', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies({ timeout: 100, retry: { attempts: 2, backoff: 0 } }, {}, runtime);
    let calls = 0;
    const hang = () => {
      calls += 1;
      return calls === 1 ? new Promise<never>(() => {}) : Promise.resolve('fine');
    };
    await expect(runtime.clock.settle(policies.of('orders').run(hang))).resolves.toBe('fine');
    expect(runtime.clock.now()).toBe(100);
  });

  it('takes what a service has of its own before the defaults', async () => {
    const runtime = testRuntime();
    const policies = new ServicePolicies(
      { retry: { attempts: 5, backoff: 0 } },
      { slow: { retry: false } },
      runtime,
    );
    const one = brokenAfter(0, failed);
    await expect(runtime.clock.settle(policies.of('slow').run(one.work))).rejects.toThrow();
    expect(one.calls).toBe(1);
    const other = brokenAfter(0, failed);
    await expect(runtime.clock.settle(policies.of('other').run(other.work))).rejects.toThrow();
    expect(other.calls).toBe(5);
  });

  it('forgets the service called longest ago when there are too many', () => {
    const policies = new ServicePolicies({}, {}, testRuntime());
    const first = policies.of('s-0');
    const second = policies.of('s-1');
    for (let n = 2; n < 1_000; n += 1) policies.of(`s-${n}`);
    expect(policies.of('s-0')).toBe(first);
    policies.of('one-more');
    expect(policies.of('s-0')).toBe(first);
    expect(policies.of('s-1')).not.toBe(second);
  });
});

describe('advertisedHost', () => {
  const at = (address: string, family: 'IPv4' | 'IPv6', internal = false) =>
    ({ address, family, internal }) as NetworkInterfaceInfo;
  const loopback = { lo: [at('127.0.0.1', 'IPv4', true), at('::1', 'IPv6', true)] };

  it('is the address that is listened on, or this machine’s when that is all of them', () => {
    const machine = {
      ...loopback,
      eth0: [at('fe80::1', 'IPv6'), at('2001:db8::7', 'IPv6'), at('10.0.0.7', 'IPv4')],
    };
    expect(advertisedHost('10.0.0.9', machine)).toBe('10.0.0.9');
    expect(advertisedHost('0.0.0.0', machine)).toBe('10.0.0.7');
    expect(advertisedHost('::', { eth0: machine.eth0.slice(0, 2) })).toBe('2001:db8::7');
    expect(advertisedHost('0.0.0.0', loopback)).toBe('127.0.0.1');
    expect(advertisedHost('::', {})).toBe('::1');
  });

  it('is told to the app by address', () => {
    const address = { port: 4000, url: 'http://localhost:4000' };
    expect(localUrl('0.0.0.0', address)).toBe('http://127.0.0.1:4000');
    expect(localUrl('127.0.0.2', { port: 4000, url: 'http://127.0.0.2:4000' })).toBe('http://127.0.0.2:4000');
  });
});
