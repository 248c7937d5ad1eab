/** The worked example of docs/write-an-adapter.md, taken from the page, against the suite that it says it passes. */
import { readFileSync } from 'node:fs';
import BetterSqlite from 'better-sqlite3';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import type { Runtime } from '../../src/core/runtime.ts';
import type { RateStore } from '../../src/ports/rate-store.ts';
import { rateStoreConformance } from '../../src/testing/conformance/rate-store.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

interface Example {
  sqliteRateStore(options: { database: unknown; runtime: Partial<Runtime> }): RateStore;
}

const page = readFileSync(new URL('../../docs/write-an-adapter.md', import.meta.url), 'utf8');
const [adapter = '', itsTest = ''] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
const { outputText } = ts.transpileModule(adapter, {
  compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
});
const example = (await import(`data:text/javascript,${encodeURIComponent(outputText)}`)) as Example;

// By a variable, since the types of Node 20 do not know the module.
const nodeSqlite = 'node:sqlite';
const { DatabaseSync: Database } = await import(nodeSqlite).catch(() => ({ DatabaseSync: BetterSqlite }));

rateStoreConformance({
  api: { describe, it },
  name: 'SQLite, as documented',
  create: async () => {
    const runtime = testRuntime();
    const database = new Database(':memory:');
    return {
      store: example.sqliteRateStore({ database, runtime }),
      other: example.sqliteRateStore({ database, runtime }),
      advance: (duration) => runtime.clock.advance(duration),
      close: async () => void database.close(),
    };
  },
});

it('the documented test calls the suite in the same way', () => {
  expect(itsTest).toContain('rateStoreConformance({');
  for (const key of ['api:', 'name:', 'create:', 'store:', 'other:', 'advance:', 'close:'])
    expect(itsTest).toContain(key);
});
