import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, TimeoutError, UpstreamError } from '../../src/core/errors.ts';
import type { RetryAllowance } from '../../src/core/policy.ts';
import { RetryBudget } from '../../src/core/retry-budget.ts';
import { resolveRuntime } from '../../src/core/runtime.ts';
import { type Answer, FailedAnswer } from '../../src/gateway/forward/attempt.ts';
import { waitAfter } from '../../src/gateway/forward/repeat.ts';
import { RetryBudgets, type RouteRetries, repeatRulesOf } from '../../src/gateway/forward/repeat-rules.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { RequestRepeated, UpstreamFailed } from '../../src/gateway/router-events.ts';
import type { RouteOptions } from '../../src/gateway/router-options.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { refusedUrl } from './policy-stage.ts';
import { closeAfterEach, listening, registryOf, type TestRouter, until, upstream } from './support.ts';

closeAfterEach();

/** A router whose repeated attempts are told. */
async function repeating(
  services: Readonly<Record<string, readonly string[]>>,
  route: RouteOptions,
  options: object = {},
): Promise<
  TestRouter & {
    repeated: RequestRepeated[];
    failed: UpstreamFailed[];
    registry: ReturnType<typeof registryOf>;
  }
> {
  const registry = registryOf(services, true);
  const front = await listening({ registry, ...options }, (it) =>
    it.route('/*', { service: 'orders', ...route }),
  );
  const repeated: RequestRepeated[] = [];
  const failed: UpstreamFailed[] = [];
  front.router.on('repeated', (event) => repeated.push(event));
  front.router.on('upstreamFailed', (event) => failed.push(event));
  return { ...front, repeated, failed, registry };
}

/** An upstream that answers each time the next of these; the last one again and again. */
async function answering(...answers: readonly (number | { status: number; retryAfter: string })[]) {
  const state = { bodies: [] as string[], url: '' };
  const { url } = await upstream((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const answer = answers[Math.min(state.bodies.length, answers.length - 1)]!;
      state.bodies.push(body);
      const { status, retryAfter } = typeof answer === 'number' ? { status: answer, retryAfter: '' } : answer;
      response.writeHead(status, retryAfter === '' ? {} : { 'retry-after': retryAfter });
      response.end(`answer ${state.bodies.length}`);
    });
  });
  return Object.assign(state, { url });
}

const fast: RouteRetries = { backoff: 0 };

describe('retries of a route', () => {
  it('another instance is tried, and what happened is told', async () => {
    const bad = await answering(503);
    const good = await answering(200);
    const { url, repeated, failed, registry } = await repeating(
      { orders: [bad.url, good.url] },
      { retries: fast },
    );
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([200, 'answer 1']);
    await until(() => registry.open === 0);
    expect(registry.outcomes.map(({ id, outcome }) => `${id} ${outcome}`).sort()).toEqual([
      'orders-1 failure',
      'orders-2 success',
    ]);
    expect(registry.repeated).toBe(0);
    expect(failed).toMatchObject([{ attempt: 1, instance: 'orders-1', status: 503 }]);
    expect(repeated).toEqual([{ route: '/*', service: 'orders', attempt: 2, wait: 0, hedged: false }]);
  });

  it('the last answer is the answer, as it came; only those statuses are tried again', async () => {
    const always = await answering(503);
    const { url } = await repeating({ orders: [always.url] }, { retries: fast });
    const response = await fetch(url);
    expect([response.status, await response.text(), always.bodies.length]).toEqual([503, 'answer 3', 3]);
    const inner = await answering(500, 200);
    const second = await repeating({ orders: [inner.url] }, { retries: fast });
    expect([(await fetch(second.url)).status, inner.bodies.length]).toEqual([500, 1]);
    const other = await answering(500, 200);
    const third = await repeating({ orders: [other.url] }, { retries: { ...fast, statuses: [500] } });
    expect((await fetch(third.url)).status).toBe(200);
  });

  it('rule 19: a POST that was received is not made again, one that was never written is, with its body', async () => {
    const bad = await answering(503);
    const { url, repeated } = await repeating({ orders: [bad.url] }, { retries: fast });
    expect((await fetch(url, { method: 'POST', body: 'pay' })).status).toBe(503);
    expect([bad.bodies.length, repeated.length]).toEqual([1, 0]);
    const good = await answering(200);
    const other = await repeating({ orders: [await refusedUrl(), good.url] }, { retries: fast });
    expect((await fetch(other.url, { method: 'POST', body: 'pay' })).status).toBe(200);
    expect(good.bodies).toEqual(['pay']);
  });

  it('rule 19: an idempotent request is made again with its body, if that was short enough to be kept', async () => {
    const bad = await answering(503, 200);
    const { url } = await repeating({ orders: [bad.url] }, { retries: fast });
    expect((await fetch(url, { method: 'PUT', body: 'short' })).status).toBe(200);
    expect(bad.bodies).toEqual(['short', 'short']);
    const long = await answering(503, 200);
    const other = await repeating({ orders: [long.url] }, { retries: fast });
    expect((await fetch(other.url, { method: 'PUT', body: 'x'.repeat(65_537) })).status).toBe(503);
    expect(long.bodies.length).toBe(1);
  });

  it('a budget that is used up ends them; it is the service’s own, whichever route asks', async () => {
    const dead = await answering(503);
    const alive = await answering(503, 200);
    const registry = registryOf({ dead: [dead.url], alive: [alive.url] });
    const { url } = await listening({ registry, retryBudget: { ratio: 0, free: 0.2 } }, (it) =>
      it
        .route('/a', { service: 'dead', retries: fast })
        .route('/b', { service: 'dead', retries: fast })
        .route('/c', { service: 'alive', retries: fast }),
    );
    // 0.2 a second for 10 seconds are two.
    expect((await fetch(`${url}/a`)).status).toBe(503);
    expect(dead.bodies.length).toBe(3);
    expect((await fetch(`${url}/b`)).status).toBe(503);
    expect(dead.bodies.length).toBe(4);
    expect((await fetch(`${url}/c`)).status).toBe(200);
  });

  it('one budget may be given for everything', async () => {
    const bad = await answering(503);
    const asked = { deposits: 0, withdrawals: 0 };
    const budget: RetryAllowance = {
      deposit: () => {
        asked.deposits += 1;
      },
      withdraw: () => {
        asked.withdrawals += 1;
        return false;
      },
    };
    const { url } = await repeating({ orders: [bad.url] }, { retries: fast }, { retryBudget: budget });
    expect((await fetch(url)).status).toBe(503);
    expect([asked, bad.bodies.length]).toEqual([{ deposits: 1, withdrawals: 1 }, 1]);
  });

  it('Retry-After is waited for when it is short, and passed on when it is long', async () => {
    const soon = await answering({ status: 503, retryAfter: '1' }, 200);
    const first = await repeating({ orders: [soon.url] }, { retries: fast });
    expect((await fetch(first.url)).status).toBe(200);
    expect(first.repeated).toMatchObject([{ wait: 1_000 }]);
    const late = await answering({ status: 503, retryAfter: '60' }, 200);
    const second = await repeating({ orders: [late.url] }, { retries: fast });
    const response = await fetch(second.url);
    expect([response.status, response.headers.get('retry-after'), late.bodies.length]).toEqual([
      503,
      '60',
      1,
    ]);
  });

  it('an attempt that takes too long is given up for another', async () => {
    const slow = await upstream(() => {});
    const good = await answering(200);
    const { url, failed } = await repeating(
      { orders: [slow.url, good.url] },
      { retries: { ...fast, perAttempt: 400 } },
    );
    expect((await fetch(url)).status).toBe(200);
    expect(failed[0]?.error).toBeInstanceOf(TimeoutError);
  });

  it('each attempt runs under the policy; what that refuses is not asked again', async () => {
    const bad = await answering(503);
    const breaker = new CircuitBreaker({ name: 'b', consecutiveFailures: 2 });
    const { url, repeated } = await repeating(
      { orders: [bad.url] },
      { retries: { ...fast, attempts: 5 }, policy: breaker },
    );
    expect((await fetch(url)).status).toBe(503);
    expect([bad.bodies.length, breaker.state, repeated.length]).toEqual([2, 'open', 2]);
  });

  it('a client that leaves during a wait ends it', async () => {
    const bad = await answering(503, 200);
    const { url, repeated, router, finished } = await repeating(
      { orders: [bad.url] },
      { retries: { backoff: '1h', maxBackoff: '1h' } },
      { runtime: { random: () => 0.99 } },
    );
    const controller = new AbortController();
    const asked = fetch(url, { signal: controller.signal }).catch(() => 'gone');
    await until(() => repeated.length === 1);
    controller.abort();
    expect(await asked).toBe('gone');
    await until(() => router.active === 0);
    expect([finished[0]?.status, bad.bodies.length]).toEqual([499, 1]);
  });

  it('parts of a composed answer are asked for again', async () => {
    const bad = await answering(503, 200);
    const flaky = await upstream((_request, response) => response.end('{"ok":true}'));
    const registry = registryOf({ users: [bad.url, flaky.url] });
    const { url } = await listening({ registry }, (it) =>
      it.route('GET /me', { compose: { user: 'users:/me' }, retries: fast }),
    );
    expect(await fetch(`${url}/me`).then((response) => response.json())).toEqual({ user: { ok: true } });
  });
});

describe('hedging of a route', () => {
  it('an attempt that is not answered in time has another beside it; the first answer counts', async () => {
    const state = { aborted: 0 };
    const slow = await upstream((_request, response) => {
      response.on('close', () => {
        state.aborted += 1;
      });
    });
    const good = await answering(200);
    const { url, repeated, failed, registry } = await repeating(
      { orders: [slow.url, good.url] },
      { hedge: { delay: 20 } },
    );
    expect((await fetch(url)).status).toBe(200);
    await until(() => state.aborted === 1 && registry.open === 0);
    expect(repeated).toEqual([{ route: '/*', service: 'orders', attempt: 2, wait: 20, hedged: true }]);
    expect(registry.outcomes).toContainEqual({ id: 'orders-1', outcome: 'cancelled' });
    expect(failed).toEqual([]);
  });

  it('an error beside an attempt that is under way waits for that one', async () => {
    const release: (() => void)[] = [];
    const slow = await upstream((_request, response) => void release.push(() => response.end('slow')));
    const bad = await answering(503);
    const { url } = await repeating({ orders: [slow.url, bad.url] }, { hedge: { delay: 1 } });
    const asked = fetch(url).then((response) => response.text());
    await until(() => bad.bodies.length === 1 && release.length === 1);
    release[0]!();
    expect(await asked).toBe('slow');
  });

  it('rule 19: never of what may not be received twice, nor without a budget', async () => {
    const state = { received: 0 };
    const slow = await upstream((_request, response) => {
      state.received += 1;
      setTimeout(() => response.end('slow'), 60);
    });
    const first = await repeating({ orders: [slow.url] }, { hedge: { delay: 1 } });
    expect(await fetch(first.url, { method: 'POST', body: 'x' }).then((r) => r.text())).toBe('slow');
    const second = await repeating(
      { orders: [slow.url] },
      { hedge: { delay: 1 } },
      { retryBudget: { ratio: 0, free: 0 } },
    );
    expect(await fetch(second.url).then((r) => r.text())).toBe('slow');
    expect([state.received, first.repeated, second.repeated]).toEqual([2, [], []]);
  });
});

describe('whether another attempt is made', () => {
  const rules = repeatRulesOf(
    {
      attempts: 3,
      statuses: new Set([503]),
      backoff: 100,
      maxBackoff: 150,
      maxRetryAfter: 1_000,
      perAttempt: 0,
    },
    undefined,
  )!;
  const answered = (status: number, retryable = true, retryAfter?: number): FailedAnswer =>
    new FailedAnswer('orders', { call: { status } } as unknown as Answer, retryable, retryAfter);
  const wait = (error: unknown, made = 1, left?: number): number | undefined =>
    waitAfter(error, rules, made, () => 0.5, left);

  it('the waits double up to their bound, and Retry-After makes them longer only', () => {
    expect([wait(answered(503)), wait(answered(503), 2), wait(answered(503), 3)]).toEqual([
      50,
      75,
      undefined,
    ]);
    expect([
      wait(answered(503, true, 10)),
      wait(answered(503, true, 900)),
      wait(answered(503, true, 1_001)),
    ]).toEqual([50, 900, undefined]);
  });

  it('not of what is unsafe, of another status, of another kind, or what would come too late', () => {
    expect(wait(answered(503, false))).toBeUndefined();
    expect(wait(answered(500))).toBeUndefined();
    expect(wait(new Error('a fault of ours'))).toBeUndefined();
    expect(wait(new UpstreamError('orders', 'refused'))).toBeUndefined();
    expect(wait(new UpstreamError('orders', 'refused', { retryable: true }))).toBe(50);
    expect(wait(answered(503), 1, 50)).toBeUndefined();
    expect(wait(answered(503), 1, 51)).toBe(50);
  });

  it('budgets are kept for so many services, and forgotten by the longest unused', () => {
    const budgets = new RetryBudgets({}, 'router', resolveRuntime(testRuntime()));
    const first = budgets.for('service-0');
    expect(first).toBeInstanceOf(RetryBudget);
    for (let index = 1; index < 1_000; index += 1) budgets.for(`service-${index}`);
    expect(budgets.for('service-0')).toBe(first);
    const second = budgets.for('service-1');
    budgets.for('service-1000');
    budgets.for('service-1001');
    expect([budgets.for('service-0') === first, budgets.for('service-1') === second]).toEqual([true, true]);
  });
});

it('refuses what is no rule, and rules that have nothing to repeat', () => {
  const router = new RequestRouter({});
  const declare = (options: object) => () => router.route('/', { url: 'http://127.0.0.1:1', ...options });
  expect(declare({ retries: { attempts: 1 } })).toThrow(InvalidOptionsError);
  expect(declare({ retries: { attempts: 3, statuses: [404] } })).toThrow(/retries/);
  expect(declare({ retries: { tries: 3 } })).toThrow(/tries/);
  expect(declare({ hedge: {} })).toThrow(/hedge\.delay/);
  expect(() => router.route('/', { handle: () => new Response(''), retries: true })).toThrow(
    /forwards nothing/,
  );
  expect(() => new RequestRouter({ retryBudget: { ratio: -1 } })).toThrow(/retryBudget/);
  router.route('/off', { url: 'http://127.0.0.1:1', retries: false });
});
