import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isBuilt, root, sourceFiles } from './source-files.ts';

interface Tarball {
  readonly files: readonly { readonly path: string; readonly mode: number }[];
  readonly unpackedSize: number;
}

describe.skipIf(!isBuilt)('the tarball', () => {
  const text = isBuilt
    ? execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
        cwd: root,
        encoding: 'utf8',
      })
    : '[{"files":[],"unpackedSize":0}]';
  const [{ files, unpackedSize }] = JSON.parse(text) as [Tarball];
  const paths = files.map((file) => file.path);

  it('holds what a user needs beside the code, and nothing else', () => {
    expect(paths.filter((path) => !path.startsWith('dist/')).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'docs/errors.md',
      'package.json',
    ]);
  });

  it('holds exactly the modules of src, each with its types', () => {
    const expected = sourceFiles().flatMap(({ path }) => {
      const module = `dist/${path.replace(/\.ts$/, '')}`;
      return [`${module}.d.ts`, `${module}.js`];
    });
    // A difference means that dist/ is older than src/: npm run build.
    expect(paths.filter((path) => path.startsWith('dist/')).sort()).toEqual(expected.sort());
  });

  it('stays small', () => {
    expect(unpackedSize).toBeLessThan(2_400_000);
  });
});
