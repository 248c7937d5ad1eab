/** Who may import what. The linter holds the arrows too, at the line; this test holds even if its settings break. */
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, manifest, sourceFiles } from './source-files.ts';

/** The one place that imports each dependency: replacing it touches nothing else. */
const doors: Readonly<Record<string, readonly string[]>> = {
  commander: ['cli/'],
  debug: ['core/log.ts'],
  eventemitter3: ['core/emitter.ts'],
  'http-cache-semantics': ['gateway/guards/cache/freshness.ts'],
  jose: ['gateway/guards/jwt.ts'],
  'p-limit': ['resilience/bulkhead.ts'],
  'p-retry': ['resilience/retry.ts'],
  undici: ['gateway/upstreams/upstreams.ts', 'adapters/internal/http.ts', 'integrations/undici.ts'],
  yaml: ['core/yaml.ts'],
  zod: ['core/options.ts'],
};

/** Each folder, and those that it may import beside itself. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  ports: ['core'],
  resilience: ['core', 'ports'],
  discovery: ['core', 'ports'],
  config: ['core', 'ports'],
  saga: ['core', 'ports'],
  gateway: ['core', 'ports'],
  telemetry: ['core', 'ports'],
  adapters: ['core', 'ports'],
  integrations: ['core', 'ports'],
  opossum: ['core', 'ports', 'resilience'],
  testing: ['core', 'ports'],
  // It runs the real saga engine over the memory store, and so has an entry of its own: `holdfast/testing` stays light.
  'testing/crash-matrix': ['core', 'ports', 'testing', 'saga', 'adapters'],
  sidecar: ['core', 'ports', 'resilience', 'discovery', 'config', 'saga', 'gateway', 'telemetry'],
  dashboard: ['core', 'ports', 'resilience', 'discovery', 'config', 'saga', 'gateway'],
  cli: ['core', 'ports', 'saga', 'sidecar', 'dashboard', 'gateway', 'adapters', 'telemetry'],
  'index.ts': [
    'core',
    'ports',
    'resilience',
    'discovery',
    'config',
    'saga',
    'gateway',
    'sidecar',
    'telemetry',
  ],
};

interface Import {
  readonly importer: string;
  /** A package's name, or a path from `src/`. */
  readonly target: string;
}

const folderOf = (path: string): string =>
  Object.keys(arrows).find((folder) => folder.includes('/') && path.startsWith(`${folder}/`)) ??
  path.split('/')[0] ??
  path;

const ours: Import[] = [];
const others: Import[] = [];
for (const { path, text } of sourceFiles()) {
  for (const specifier of importsOf(text)) {
    if (specifier.startsWith('.')) {
      ours.push({ importer: path, target: posix.join(posix.dirname(path), specifier) });
    } else if (!specifier.startsWith('node:')) {
      const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
      others.push({ importer: path, target: name });
    }
  }
}

describe('imports', () => {
  it('are found, in every form', () => {
    const text = `
      import a from 'a'; import type { B } from 'b';
      // import c from 'c';
      /* import d from 'd'; */`.replaceAll('\n      ', '\n');
    expect(importsOf(text)).toEqual(['a']);
    expect(
      importsOf(
        "import type { B } from 'b';\nimport {\n  c,\n  d,\n} from 'c';\nexport { e } from './e.ts';",
      ),
    ).toEqual(['b', 'c', './e.ts']);
    expect(importsOf("import 'f';\nconst g = await import('g');\nconst text = \"from 'h'\";")).toEqual([
      'f',
      'g',
    ]);
    expect(ours.length).toBeGreaterThan(50);
  });

  it.each(Object.keys(doors))('of %s stand behind its door', (name) => {
    const strangers = others.filter(
      (i) => i.target === name && !doors[name]?.some((d) => i.importer.startsWith(d)),
    );
    expect(strangers.map((i) => i.importer)).toEqual([]);
  });

  it('are of packages with a door only, and every dependency has one', () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual(Object.keys(doors).sort());
    expect(others.filter((i) => !Object.hasOwn(doors, i.target))).toEqual([]);
  });

  it('name built-in modules with node:', () => {
    expect(
      others.filter((i) => builtinModules.includes(i.target) && !Object.hasOwn(doors, i.target)),
    ).toEqual([]);
  });

  it('follow the arrows', () => {
    const against = ours.filter(({ importer, target }) => {
      const [from, to] = [folderOf(importer), folderOf(target)];
      return from !== to && !arrows[from]?.includes(to);
    });
    expect(against).toEqual([]);
  });

  it('are of the file that owns the name, never of an index', () => {
    expect(ours.filter((i) => i.target.endsWith('index.ts') && i.importer !== 'index.ts')).toEqual([]);
  });
});
