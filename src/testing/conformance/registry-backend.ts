/**
 * The contract of RegistryBackend (see its port) as tests: each sentence is one, or several. An adapter passes when all
 * of them pass; what it cannot do, it declares with a reason.
 */
import assert from 'node:assert/strict';
import {
  idsOf,
  instance,
  isIds,
  type RegistryBackendHarness,
  type Stage,
  stage,
} from './registry-backend-stage.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** What {@link registryBackendConformance} needs. */
export interface RegistryBackendConformanceOptions {
  /** The test runner's functions. */
  readonly api: TestApi;
  /** For the report, such as `memory`. */
  readonly name: string;
  /** A fresh, empty registry. */
  readonly create: () => Promise<RegistryBackendHarness>;
  /** The `ttl` to test with, in milliseconds: the shortest that the backend honours. Default 10,000. */
  readonly ttl?: number;
  /** What this adapter cannot do, by the test's name, and why. */
  readonly except?: Exceptions;
}

type Tests = Readonly<Record<string, (stage: Stage) => Promise<void>>>;

const sets: Tests = {
  'a service that nobody registered is an empty set, not an error': async ({ backend }) => {
    assert.deepEqual(await backend.list('orders'), []);
    assert.deepEqual(await backend.services(), []);
  },
  'a registered instance is visible to a new list once register resolves': async ({
    backend,
    other,
    lasting,
  }) => {
    await backend.register(instance('a'), { ttl: lasting });
    assert.deepEqual(idsOf(await backend.list('orders')), ['a']);
    assert.deepEqual(idsOf(await other.list('orders')), ['a']);
  },
  'list holds every live instance, as it was registered': async ({ backend, other, lasting }) => {
    const full = instance('a', {
      secure: true,
      host: 'db.internal',
      url: 'https://db.internal:3000',
      weight: 2.5,
      version: '1.4.2',
      zone: 'eu-west-1a',
      tags: ['canary', 'ünï'],
    });
    await backend.register(full, { ttl: lasting });
    await other.register(instance('b'), { ttl: lasting });
    const listed = [...(await other.list('orders'))].sort((a, b) => (a.id < b.id ? -1 : 1));
    assert.deepEqual(listed, [full, instance('b')]);
  },
  'metadata comes back as it was, whatever is in it': async ({ backend, other, lasting }) => {
    const metadata = {
      'a/b=c&d': '1',
      'ключ 🔑': 'line\nline',
      quote: '"\\\'',
      empty: '',
      'nul\u0000': '\u0000\u007f',
    };
    await backend.register(instance('a', { metadata }), { ttl: lasting });
    assert.deepEqual((await other.list('orders'))[0]?.metadata, metadata);
  },
  'concurrent registrations all count': async ({ backend, other, lasting }) => {
    const ids = Array.from({ length: 20 }, (_, index) => `i${String(index).padStart(2, '0')}`);
    await Promise.all(
      ids.map((id, at) => (at % 2 ? backend : other).register(instance(id), { ttl: lasting })),
    );
    assert.deepEqual(idsOf(await backend.list('orders')), ids);
  },
  'services are named, sorted, and only while they have instances': async ({ backend, lasting }) => {
    const handle = await backend.register(instance('a', { service: 'b-service' }), { ttl: lasting });
    await backend.register(instance('a', { service: 'a-service' }), { ttl: lasting });
    assert.deepEqual(await backend.services(), ['a-service', 'b-service']);
    await handle.deregister();
    assert.deepEqual(await backend.services(), ['a-service']);
  },
};

const watches: Tests = {
  'a watch begins with the set as it is': async ({ backend, lasting, observe, until }) => {
    await backend.register(instance('a'), { ttl: lasting });
    const seen = observe('orders');
    await until('the first item', () => seen.sets.length > 0);
    assert.deepEqual(idsOf(seen.sets[0]!), ['a']);
  },
  'a watch begins with an empty set when there are none': async ({ observe, until }) => {
    const seen = observe('orders');
    await until('the first item', () => seen.sets.length > 0);
    assert.deepEqual(seen.sets[0], []);
  },
  'each item is the full set after a change': async ({ backend, other, lasting, observe, until }) => {
    const seen = observe('orders');
    await until('the first item', () => seen.sets.length > 0);
    const first = await other.register(instance('a'), { ttl: lasting });
    await until('one instance', () => isIds(seen.ids(), 'a'));
    await backend.register(instance('b'), { ttl: lasting });
    await until('both instances', () => isIds(seen.ids(), 'a', 'b'));
    await first.deregister();
    await until('the other alone', () => isIds(seen.ids(), 'b'));
  },
  'after many changes close together a watch holds the last set': async ({
    backend,
    lasting,
    observe,
    until,
  }) => {
    const seen = observe('orders');
    for (let port = 1; port <= 30; port += 1) {
      await backend.register(instance('a', { port }), { ttl: lasting });
    }
    await until('the last port', () => seen.sets.at(-1)?.[0]?.port === 30);
  },
  'a watch sees only its own service': async ({ backend, lasting, observe, until }) => {
    const seen = observe('orders');
    await backend.register(instance('x', { service: 'billing' }), { ttl: lasting });
    await backend.register(instance('a'), { ttl: lasting });
    await until('its own instance', () => isIds(seen.ids(), 'a'));
    assert.ok(seen.sets.flat().every((each) => each.service === 'orders'));
  },
  'a watch ends quietly when its signal aborts': async ({ observe, until }) => {
    const seen = observe('orders');
    await until('the first item', () => seen.sets.length > 0);
    seen.stop();
    assert.equal(await seen.ended, 'quiet');
    const atOnce = observe('orders');
    atOnce.stop();
    assert.equal(await atOnce.ended, 'quiet');
  },
  'a watch whose signal has aborted before gives nothing': async ({ backend }) => {
    const signal = AbortSignal.abort();
    for await (const _ of backend.watch('orders', signal)) assert.fail('it gave an item');
  },
  'several watches of one service each get every set': async ({
    backend,
    other,
    lasting,
    observe,
    until,
  }) => {
    const seen = [observe('orders'), observe('orders'), observe('orders', other)];
    await backend.register(instance('a'), { ttl: lasting });
    await until('all see it', () => seen.every((each) => isIds(each.ids(), 'a')));
    seen[0]!.stop();
    await backend.register(instance('b'), { ttl: lasting });
    await until('the others see it', () => seen.slice(1).every((each) => isIds(each.ids(), 'a', 'b')));
  },
};

const registrations: Tests = {
  'an instance that is not renewed disappears within one more ttl': async (stage) => {
    const { backend, other, ttl, advance, observe, until } = stage;
    await backend.register(instance('a'), { ttl });
    const seen = observe('orders', other);
    await until('it is seen', () => isIds(seen.ids(), 'a'));
    await advance(2 * ttl);
    assert.deepEqual(await other.list('orders'), []);
    assert.deepEqual(seen.ids(), []);
    assert.deepEqual(await other.services(), []);
  },
  'a renewed instance stays': async ({ backend, other, ttl, advance, observe, until }) => {
    const handle = await backend.register(instance('a'), { ttl });
    const seen = observe('orders', other);
    await until('it is seen', () => isIds(seen.ids(), 'a'));
    for (let round = 0; round < 12; round += 1) {
      await advance(ttl / 4);
      assert.equal(await handle.renew(), 'renewed');
    }
    assert.deepEqual(idsOf(await other.list('orders')), ['a']);
    assert.ok(seen.sets.every((set) => set.length === 1));
  },
  'renew says lost after it expired, and registering again brings it back': async (stage) => {
    const { backend, ttl, advance } = stage;
    const handle = await backend.register(instance('a'), { ttl });
    await advance(2 * ttl);
    assert.equal(await handle.renew(), 'lost');
    assert.deepEqual(await backend.list('orders'), []);
    const again = await backend.register(instance('a'), { ttl });
    assert.equal(await again.renew(), 'renewed');
    assert.deepEqual(idsOf(await backend.list('orders')), ['a']);
  },
  'renew says lost when the backend has lost its memory': async ({ backend, lasting, forget }) => {
    const handle = await backend.register(instance('a'), { ttl: lasting });
    await forget();
    assert.equal(await handle.renew(), 'lost');
  },
  'registering the same id again replaces it': async ({ backend, other, lasting }) => {
    await backend.register(instance('a', { port: 1 }), { ttl: lasting });
    await other.register(instance('a', { port: 2 }), { ttl: lasting });
    assert.deepEqual(
      (await backend.list('orders')).map((each) => each.port),
      [2],
    );
  },
  'a status is seen by others and outlives renewals': async ({ backend, other, lasting, observe, until }) => {
    const handle = await backend.register(instance('a'), { ttl: lasting });
    const seen = observe('orders', other);
    await until('it is seen', () => isIds(seen.ids(), 'a'));
    await handle.setStatus('draining');
    assert.equal((await other.list('orders'))[0]?.status, 'draining');
    await until('the watch sees it', () => seen.sets.at(-1)?.[0]?.status === 'draining');
    await handle.renew();
    assert.equal((await other.list('orders'))[0]?.status, 'draining');
    await handle.setStatus('up');
    assert.equal((await other.list('orders'))[0]?.status, 'up');
  },
  'deregister takes it out, and may be repeated': async ({ backend, lasting }) => {
    const handle = await backend.register(instance('a'), { ttl: lasting });
    await handle.deregister();
    assert.deepEqual(await backend.list('orders'), []);
    await handle.deregister();
    assert.equal(await handle.renew(), 'lost');
  },
  'deregister does nothing after it expired': async ({ backend, ttl, advance }) => {
    const handle = await backend.register(instance('a'), { ttl });
    await advance(2 * ttl);
    await handle.deregister();
    assert.deepEqual(await backend.list('orders'), []);
  },
};

const failures: Tests = {
  'list and services reject while the registry is cut off': async ({ backend, lasting, cut, heal }) => {
    await backend.register(instance('a'), { ttl: lasting });
    await backend.list('orders');
    await cut();
    await assert.rejects(backend.list('orders'));
    await assert.rejects(backend.services());
    await heal();
    assert.deepEqual(idsOf(await backend.list('orders')), ['a']);
  },
  'a watch throws when the registry is cut off, and never gives an empty set for it': async (stage) => {
    const { backend, lasting, cut, heal, observe, until, advance } = stage;
    await backend.register(instance('a'), { ttl: lasting });
    const seen = observe('orders');
    await until('it is seen', () => isIds(seen.ids(), 'a'));
    await cut();
    let ended: unknown;
    void seen.ended.then((reason) => {
      ended = reason;
    });
    await until('it ended', () => ended !== undefined);
    assert.notEqual(ended, 'quiet');
    assert.ok(seen.sets.every((set) => set.length === 1));
    const during = observe('orders');
    await advance(1);
    assert.notEqual(await during.ended, 'quiet');
    await heal();
    const after = observe('orders');
    await until('it is seen again', () => isIds(after.ids(), 'a'));
  },
  'register rejects while the registry is cut off': async ({ backend, lasting, cut, heal }) => {
    await cut();
    await assert.rejects(backend.register(instance('a'), { ttl: lasting }));
    await heal();
    await backend.register(instance('a'), { ttl: lasting });
    assert.deepEqual(idsOf(await backend.list('orders')), ['a']);
  },
  'close may be repeated, and registrations outlive it until they expire': async ({
    backend,
    other,
    lasting,
  }) => {
    await backend.register(instance('a'), { ttl: lasting });
    await backend.close();
    await backend.close();
    assert.deepEqual(idsOf(await other.list('orders')), ['a']);
  },
};

/** Declare the tests that every `RegistryBackend` has to pass. */
export function registryBackendConformance(options: RegistryBackendConformanceOptions): void {
  const { api, name, create, ttl = 10_000, except } = options;
  const it = declaredIt(api, except);
  api.describe(`RegistryBackend ${name}`, () => {
    for (const [title, body] of Object.entries({ ...sets, ...watches, ...registrations, ...failures })) {
      it(title, async () => {
        const harness = await create();
        const set = stage(harness, ttl);
        try {
          await body(set);
        } finally {
          set.stopAll();
          await harness.close();
        }
      });
    }
  });
}
