import { describe, expect, it } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { ServiceRegistry } from '../../src/discovery/service-registry.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import type { SplitShare } from '../../src/gateway/routes/route-types.ts';
import { compileSplit, placeOf, shareAt } from '../../src/gateway/routes/split.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { closeAfterEach, onCleanup, registryOf, upstream } from './support.ts';

closeAfterEach();

const halves: readonly SplitShare[] = [
  { service: 'stable', weight: 95 },
  { service: 'canary', weight: 5 },
];

const chosen = (split: ReturnType<typeof compileSplit>, place: number): string | undefined =>
  shareAt(split.shares, place).target.service;

describe('split', () => {
  it('gives each its part', () => {
    const split = compileSplit(halves, undefined);
    const counts = { stable: 0, canary: 0 };
    const { random } = testRuntime({ seed: 7 });
    for (let index = 0; index < 10_000; index += 1) counts[chosen(split, random()) as 'stable'] += 1;
    expect(counts.canary).toBeGreaterThan(400);
    expect(counts.canary).toBeLessThan(600);
    expect(
      chosen(compileSplit([...halves, { service: 'none', weight: 0 }], undefined), 0.999_999_999_999),
    ).toBe('canary');
  });

  it('spreads keys evenly, and keeps who was in a small part in a larger one', () => {
    const small = compileSplit(halves, 'client');
    const large = compileSplit([halves[0]!, { service: 'canary', weight: 95 }], 'client');
    let inSmall = 0;
    for (let index = 0; index < 10_000; index += 1) {
      const place = placeOf(`user-${index}`);
      if (chosen(small, place) !== 'canary') continue;
      inSmall += 1;
      expect(chosen(large, place)).toBe('canary');
    }
    expect(inSmall).toBeGreaterThan(400);
    expect(inSmall).toBeLessThan(600);
  });

  it('sends requests to services and origins, the same key always to the same', async () => {
    const one = await upstream((_request, response) => response.end('one'));
    const two = await upstream((_request, response) => response.end('two'));
    const router = new RequestRouter({ registry: registryOf({ one: [one.url] }) }).route('/', {
      split: [
        { service: 'one', weight: 1 },
        { url: two.url, weight: 1 },
      ],
      sticky: { cookie: 'sid' },
    });
    onCleanup(() => router.stop({ timeout: 0 }));
    const ask = async (cookie?: string): Promise<string> => {
      const headers: Record<string, string> = cookie === undefined ? {} : { cookie };
      return (await router.fetch(new Request('http://a/', { headers }))).text();
    };
    const seen = new Set<string>();
    for (let index = 0; index < 20; index += 1) {
      const first = await ask(`sid=${index}`);
      seen.add(first);
      expect(await ask(`a=b; sid=${index}`)).toBe(first);
    }
    expect([...seen].sort()).toEqual(['one', 'two']);
    const byChance = new Set<string>();
    while (byChance.size < 2) byChance.add(await ask());
  });

  it('sends to a subset of a service, and never past it', async () => {
    const old = await upstream((_request, response) => response.end('old'));
    const fresh = await upstream((_request, response) => response.end('fresh'));
    const registry = await new ServiceRegistry({ backend: memoryRegistry() }).start();
    onCleanup(() => registry.stop());
    await registry.register({ service: 'orders', id: 'o1', host: '127.0.0.1', port: old.port, version: '1' });
    const canary = { version: '2', tags: ['canary'], metadata: { team: 'a' } };
    await registry.register({ service: 'orders', id: 'o2', host: '127.0.0.1', port: fresh.port, ...canary });
    const router = new RequestRouter({ registry })
      .route('/*', { service: 'orders', subset: { version: '1' } })
      .route('/canary', { service: 'orders', subset: canary })
      .route('/none', { service: 'orders', subset: { zone: 'moon' } })
      .route('/split', {
        split: [
          { service: 'orders', subset: { version: '1' }, weight: 1 },
          { service: 'orders', subset: { version: '2' }, weight: 1 },
        ],
        sticky: ({ searchParams }) => searchParams.get('user') ?? undefined,
      });
    onCleanup(() => router.stop({ timeout: 0 }));
    const ask = (path: string): Promise<Response> => router.fetch(new Request(`http://a${path}`));
    for (let index = 0; index < 10; index += 1) {
      expect(await (await ask('/')).text()).toBe('old');
      expect(await (await ask('/canary')).text()).toBe('fresh');
    }
    expect((await ask('/none')).status).toBe(503);
    const seen = new Set<string>();
    for (let index = 0; index < 20; index += 1) seen.add(await (await ask(`/split?user=${index}`)).text());
    expect([...seen].sort()).toEqual(['fresh', 'old']);
  });

  it.each([
    [{ split: [{ service: 'a', weight: 1 }] }, 'split'],
    [{ split: [{ weight: 1 }, { service: 'a', weight: 1 }] }, 'split.0: got neither'],
    [
      {
        split: [
          { service: 'a', url: 'http://b', weight: 1 },
          { service: 'a', weight: 1 },
        ],
      },
      'split.0: got both',
    ],
    [
      {
        split: [
          { service: 'a', weight: 0 },
          { service: 'b', weight: 0 },
        ],
      },
      'at least one weight above 0',
    ],
    [
      {
        split: [
          { service: 'a', weight: -1 },
          { service: 'b', weight: 1 },
        ],
      },
      'split.0.weight',
    ],
    [
      {
        split: [
          { url: 'http://b/path', weight: 1 },
          { service: 'b', weight: 1 },
        ],
      },
      'split.0.url',
    ],
    [
      {
        split: [
          { url: 'http://b', subset: {}, weight: 1 },
          { service: 'b', weight: 1 },
        ],
      },
      'split.0.subset',
    ],
    [{ service: 'a', sticky: 'client' }, 'sticky'],
    [{ url: 'http://a', subset: {} }, 'subset'],
    [{ redirect: '/a', mirror: { service: 'a' } }, 'mirror'],
    [{ service: 'a', mirror: {} }, 'mirror: got neither'],
    [{ service: 'a', mirror: { service: 'b', share: 2 } }, 'mirror.share'],
  ])('refuses %j', (options, said) => {
    const router = new RequestRouter({ registry: registryOf({}) });
    expect(() => router.route('/', options as never)).toThrow(InvalidOptionsError);
    expect(() => router.route('/', options as never)).toThrow(said);
  });
});
