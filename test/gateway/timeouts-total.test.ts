import { describe, expect, it } from 'vitest';
import { retry } from '../../src/resilience/retry.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, listening, registryOf, until, upstream } from './support.ts';

closeAfterEach();

describe('timeouts.total', () => {
  it.each(['/plain', '/retried'])(
    '%s: ends all attempts together with 504, and counts against the instance',
    async (path) => {
      const { clock } = testRuntime();
      let arrived = 0;
      let closed = 0;
      let left: string | undefined;
      const { url: stuck } = await upstream((request, response) => {
        arrived += 1;
        left = String(request.headers['x-request-timeout']);
        response.on('close', () => {
          closed += 1;
        });
      });
      const registry = registryOf({ stuck: [stuck] });
      const timeouts = { total: '300ms' } as const;
      const { url } = await listening({ registry, runtime: { clock } }, (router) =>
        router.route('/plain', { service: 'stuck', timeouts }).route('/retried', {
          service: 'stuck',
          timeouts,
          policy: retry({ attempts: 5, runtime: { clock } }),
        }),
      );
      const asked = fetch(url + path);
      await until(() => arrived === 1);
      expect(left).toBe('300ms');
      clock.advance(300);
      expect((await asked).status).toBe(504);
      await until(() => closed === 1);
      expect([arrived, registry.outcomes.map(({ outcome }) => outcome)]).toEqual([1, ['failure']]);
    },
  );

  it('does not cut a stream that has begun', async () => {
    const { clock } = testRuntime();
    let finish: (() => void) | undefined;
    const { url: stream } = await upstream((_request, response) => {
      response.write('begun ');
      finish = () => response.end('ended');
    });
    const { url } = await listening({ runtime: { clock } }, (router) =>
      router.route('/*', { url: stream, timeouts: { total: '300ms' } }),
    );
    const response = await fetch(url);
    clock.advance(1_000);
    finish?.();
    expect(await response.text()).toBe('begun ended');
  });
});
