import { describe, expect, it } from 'vitest';
import { CircuitBreakers } from '../../src/resilience/circuit-breakers.ts';
import { eager } from './policy-stage.ts';
import { closeAfterEach, listening, registryOf, upstream } from './support.ts';

closeAfterEach();

describe('a breaker for each instance', () => {
  it.each(['/short', '/long'])('%s: passes over the instance whose breaker is open', async (path) => {
    let bad = 0;
    const { url: broken } = await upstream((_request, response) => {
      bad += 1;
      response.writeHead(500).end();
    });
    const { url: good } = await upstream((_request, response) => response.end('good'));
    const breakers = new CircuitBreakers({ name: 'it', minimumCalls: 2, failureRate: 0.5, openFor: '1h' });
    const registry = registryOf({ mixed: [broken, good] });
    const { url } = await listening({ registry }, (router) =>
      router
        .route('/short', { service: 'mixed', instanceBreakers: breakers })
        .route('/long', { service: 'mixed', instanceBreakers: breakers, policy: eager(1) }),
    );
    const statuses: number[] = [];
    for (let turn = 0; turn < 12; turn += 1) statuses.push((await fetch(url + path)).status);
    expect(statuses.slice(4)).toEqual(Array.from({ length: 8 }, () => 200));
    expect([bad, breakers.peek('mixed/mixed-1')?.state, breakers.peek('mixed/mixed-2')?.state]).toEqual([
      2,
      'open',
      'closed',
    ]);
    expect([registry.open, registry.repeated]).toEqual([0, 0]);
  });

  it.each(['/short', '/long', '/fixed'])('%s: is 503 with Retry-After when all are open', async (path) => {
    let calls = 0;
    const { url: broken } = await upstream((_request, response) => {
      calls += 1;
      response.writeHead(500).end();
    });
    const breakers = new CircuitBreakers({ name: 'it', minimumCalls: 1, failureRate: 0.5, openFor: '20s' });
    const registry = registryOf({ all: [broken, broken] });
    const { url } = await listening({ registry }, (router) =>
      router
        .route('/short', { service: 'all', instanceBreakers: breakers })
        .route('/long', { service: 'all', instanceBreakers: breakers, policy: eager(1) })
        .route('/fixed', { url: broken, instanceBreakers: breakers }),
    );
    for (let turn = 0; turn < 2; turn += 1) await fetch(url + path);
    const before = calls;
    const response = await fetch(url + path);
    expect([response.status, calls, registry.open]).toEqual([503, before, 0]);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(15);
  });
});
