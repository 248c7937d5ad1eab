import assert from 'node:assert/strict';
import { ConfigSourceError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { ConfigContent, ConfigSource } from '../../ports/config-source.ts';
import { declaredIt, type Exceptions, type TestApi } from './test-api.ts';

/** One source under test and the hands that change what it reads. */
export interface ConfigSourceHarness {
  readonly source: ConfigSource;
  /** Replace everything that the source reads for the environment `test`. Undoes `damage`. */
  readonly write: (values: JsonObject) => Promise<void>;
  /** Make what it reads unreadable or unparsable. */
  readonly damage: () => Promise<void>;
  /** Put the key `__proto__` with an object below it where the source reads, in the source's own form. */
  readonly pollute: () => Promise<void>;
  /** Clean up after the test. */
  readonly close: () => Promise<void>;
}

/** Options of {@link configSourceConformance}. */
export interface ConfigSourceConformanceOptions {
  /** The test runner's functions. */
  readonly api: TestApi;
  /** For the report, such as `file`. */
  readonly name: string;
  /** A new source that holds these values. */
  readonly create: (values: JsonObject) => Promise<ConfigSourceHarness>;
  /** What this adapter cannot do, by the test's name, and why. */
  readonly except?: Exceptions | undefined;
}

const sample: JsonObject = {
  text: 'grüße, 你好\n"quoted" \\ ${',
  empty: '',
  whole: 5,
  fraction: -0.25,
  yes: true,
  no: false,
  list: ['a', 1, null, { deep: [] }],
  deep: { poolSize: 10, more: { nothing: null } },
};

/** The contract of {@link ConfigSource}, as tests. Run it against every adapter. */
export function configSourceConformance(options: ConfigSourceConformanceOptions): void {
  const { api, name: source, create, except } = options;
  const it = declaredIt(api, except);
  const test = (
    name: string,
    values: JsonObject,
    body: (harness: ConfigSourceHarness) => Promise<void>,
  ): void =>
    it(name, async () => {
      const harness = await create(values);
      try {
        await body(harness);
      } finally {
        await harness.close();
      }
    });
  api.describe(`ConfigSource ${source}`, () => {
    loading(test);
    watching(test);
  });
}

type Test = (name: string, values: JsonObject, body: (harness: ConfigSourceHarness) => Promise<void>) => void;

const scope = { environment: 'test' };

function loading(test: Test): void {
  test('loads what it holds', sample, async ({ source }) => {
    assert.deepEqual(valuesOf(await source.load(scope)), sample);
  });

  test('loads nothing when it holds nothing', {}, async ({ source }) => {
    assert.deepEqual(valuesOf(await source.load(scope)), {});
  });

  test('gives each load values of its own', sample, async ({ source }) => {
    for (const layer of (await source.load(scope)).layers) scribble(layer.values);
    assert.deepEqual(valuesOf(await source.load(scope)), sample);
  });

  test('changes its version with the values', { size: 1 }, async ({ source, write }) => {
    const first = await source.load(scope);
    assert.equal((await source.load(scope)).version, first.version);
    await write({ size: 2 });
    const second = await source.load(scope);
    assert.deepEqual(valuesOf(second), { size: 2 });
    assert.notEqual(second.version, first.version);
  });

  test('says where a value stands', { size: 1 }, async ({ source }) => {
    for (const { origin } of (await source.load(scope)).layers) {
      const place = typeof origin === 'function' ? origin(['size']) : origin;
      if (origin !== undefined) assert.equal(typeof place, 'string');
    }
    assert.ok(source.name.length > 0);
  });

  test('rejects with ConfigSourceError when it is damaged, and recovers', { size: 1 }, async (harness) => {
    await harness.damage();
    await assert.rejects(harness.source.load(scope), ConfigSourceError);
    await harness.write({ size: 3 });
    assert.deepEqual(valuesOf(await harness.source.load(scope)), { size: 3 });
  });

  test('lets no key through that reaches a prototype', { size: 1 }, async ({ source, pollute }) => {
    await pollute();
    await assert.rejects(source.load(scope), ConfigSourceError);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
}

function watching(test: Test): void {
  test('yields after a change', { size: 1 }, async ({ source, write }) => {
    await watched(source, async (next) => {
      const change = next();
      await write({ size: 2 });
      await change;
      await until(next, async () => valuesOf(await source.load(scope)).size === 2);
    });
  });

  test('remembers a change that came while nobody awaited', { size: 1 }, async ({ source, write }) => {
    await watched(source, async (next) => {
      const first = next();
      await write({ size: 2 });
      await first;
      await write({ size: 3 });
      await next();
    });
  });

  test('yields when what it reads is damaged, and when it is whole again', { size: 1 }, async (harness) => {
    const { source } = harness;
    const fails = (): Promise<boolean> =>
      source.load(scope).then(
        () => false,
        () => true,
      );
    await watched(source, async (next) => {
      const change = next();
      await harness.damage();
      await change;
      await until(next, fails);
      await harness.write({ size: 2 });
      await until(next, async () => !(await fails()));
    });
  });

  test('ends quietly when the signal aborts', { size: 1 }, async ({ source }) => {
    const controller = new AbortController();
    const iterator = iterate(source, controller.signal);
    const next = iterator.next();
    controller.abort();
    for (let result = await next; !result.done; ) result = await iterator.next();
    assert.equal((await iterate(source, controller.signal).next()).done, true);
  });
}

function iterate(source: ConfigSource, signal: AbortSignal): AsyncIterator<void> {
  assert.ok(source.watch, 'the source cannot be watched; declare that as an exception');
  return source.watch({ ...scope, signal })[Symbol.asyncIterator]();
}

async function watched(
  source: ConfigSource,
  body: (next: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const iterator = iterate(source, controller.signal);
  try {
    await body(async () => {
      assert.equal((await iterator.next()).done, false, 'the watch ended');
    });
  } finally {
    controller.abort();
    await iterator.return?.();
  }
}

/** A yield may come without a change, so await more of them until the condition holds. */
async function until(next: () => Promise<void>, condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await next();
}

/** The layers of a content as one, for values that do not overlap. */
function valuesOf(content: ConfigContent): JsonObject {
  return Object.assign({}, ...content.layers.map((layer) => layer.values)) as JsonObject;
}

/** Change everything that is not frozen. */
function scribble(values: JsonObject): void {
  for (const key of Object.keys(values)) {
    try {
      Object.assign(values, { [key]: 'scribbled' });
    } catch {
      // Frozen: as good as a copy.
    }
  }
}
