import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { UpstreamError } from '../../src/core/errors.ts';
import { FailedResponse, resilientFetch } from '../../src/integrations/fetch.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { never } from '../resilience/support.ts';
import { slowResponse, url } from './fetch-stage.ts';

describe('resilientFetch under a policy', () => {
  function retrying(answers: readonly (() => Response)[]) {
    const runtime = testRuntime();
    const breaker = new CircuitBreaker({ name: 'api', runtime });
    const seen: unknown[] = [];
    const policy = retry({ attempts: 2, backoff: 100, runtime });
    policy.on('retried', ({ error, wait }) => seen.push(error, wait));
    let requests = 0;
    const client = resilientFetch({
      breaker: () => breaker,
      policy,
      runtime,
      fetch: async () => {
        requests += 1;
        return answers[requests - 1]!();
      },
    });
    return { runtime, client, breaker, seen, requests: () => requests };
  }

  it('tries again after a status that counts as a failure, and cancels that body', async () => {
    const first = slowResponse({ status: 503, headers: { 'retry-after': '2' } });
    const { client, runtime, seen, breaker } = retrying([() => first.response, () => new Response('fine')]);
    const response = await runtime.clock.settle(client(url));
    expect(await response.text()).toBe('fine');
    expect(seen[0]).toBeInstanceOf(FailedResponse);
    expect(seen[0]).toMatchObject({ status: 503, retryAfter: 2_000, code: 'HOLDFAST_UPSTREAM' });
    expect(seen[1]).toBe(2_000);
    expect(() => first.write('nobody listens')).toThrow();
    expect(breaker.metrics.totals).toMatchObject({ failed: 1, succeeded: 1 });
  });

  it('gives the last response when the policy gives up with it', async () => {
    const answer = () => new Response('busy', { status: 503 });
    const { client, runtime, requests } = retrying([answer, answer]);
    const response = await runtime.clock.settle(client(url));
    expect([response.status, await response.text(), requests()]).toEqual([503, 'busy', 2]);
  });

  it('sends a stream once, and says why it cannot be sent again', async () => {
    const { client, runtime, requests } = retrying([() => new Response('', { status: 503 })]);
    const call = client(url, { method: 'POST', body: new Blob(['x']).stream(), duplex: 'half' });
    const error: unknown = await runtime.clock.settle(call.catch((e: unknown) => e));
    // The only response there is.
    expect(error).toBeInstanceOf(Response);
    expect((error as Response).status).toBe(503);
    expect(requests()).toBe(1);
  });

  it('rejects with the cause when a stream cannot be sent again and there was no response', async () => {
    const runtime = testRuntime();
    const client = resilientFetch({
      breaker: () => new CircuitBreaker({ name: 'api', runtime }),
      policy: retry({ attempts: 3, backoff: 1, runtime }),
      fetch: () => Promise.reject(new TypeError('fetch failed')),
    });
    const call = client(url, { method: 'POST', body: new Blob(['x']).stream(), duplex: 'half' });
    const error: unknown = await runtime.clock.settle(call.catch((e: unknown) => e));
    expect(error).toBeInstanceOf(UpstreamError);
    expect((error as UpstreamError).message).toContain('its body is a stream');
    expect((error as Error).cause).toMatchObject({ message: 'fetch failed' });
  });

  it('gives up at once when the caller does', async () => {
    const runtime = testRuntime();
    const client = resilientFetch({
      breaker: () => new CircuitBreaker({ name: 'api', runtime }),
      policy: retry({ runtime }),
      fetch: never,
    });
    const controller = new AbortController();
    const call = client(url, { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(getEventListeners(controller.signal, 'abort').length).toBeLessThanOrEqual(1);
  });
});
