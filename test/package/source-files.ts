import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository's root, with a slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** One module of `src/`. */
export interface SourceFile {
  /** Relative to `src/`, such as `core/clock.ts`. */
  readonly path: string;
  readonly text: string;
}

/** Every module of `src/`. */
export function sourceFiles(): SourceFile[] {
  const paths = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' });
  const modules = paths.filter((path) => path.endsWith('.ts')).sort();
  return modules.map((path) => ({ path, text: readFileSync(`${root}src/${path}`, 'utf8') }));
}

/** What a module imports or re-exports, as written, types included. */
export function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const from = /^(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'/gm;
  const bare = /^import\s*'([^']+)'/gm;
  const dynamic = /\bimport\(\s*'([^']+)'/g;
  return [from, bare, dynamic].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]!));
}

interface PackageManifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** `package.json`. */
export const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as PackageManifest;

/** One way into the package. */
export interface EntryPoint {
  /** As users import it, such as `holdfast/saga`. */
  readonly specifier: string;
  /** Paths from the root. */
  readonly types: string;
  readonly runtime: string;
  readonly source: string;
}

/** Every way into the package, but for its `package.json`. */
export const entryPoints: readonly EntryPoint[] = Object.entries(manifest.exports).flatMap(
  ([key, target]) => {
    if (typeof target === 'string') return [];
    const source = target.types.replace('./dist/', 'src/').replace('.d.ts', '.ts');
    return [{ specifier: `holdfast${key.slice(1)}`, types: target.types, runtime: target.default, source }];
  },
);

/** Whether `npm run build` has run; `npm run check` does so before the tests. */
export const isBuilt: boolean = existsSync(`${root}dist`);
