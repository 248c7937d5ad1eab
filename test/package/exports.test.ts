import { existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { entryPoints, isBuilt, manifest, root, sourceFiles } from './source-files.ts';

/** Run after a build: `npm run check` builds first. */
const whenBuilt = describe.skipIf(!isBuilt);

describe('exports', () => {
  it.each(sourceFiles().map((file) => [file.path, file.text] as const))(
    '%s has names only',
    (_path, text) => {
      expect(text).not.toMatch(/^export \*/m);
      expect(text).not.toMatch(/^export default\b|\bas default\b/m);
    },
  );

  it.each(entryPoints.map((entry) => entry.source))('%s only lists names', (source) => {
    const code = readFileSync(`${root}${source}`, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
    if (!source.endsWith('index.ts')) return;
    expect(code.replace(/export (?:type )?\{[^}]*\} from '[^']+';/g, '').trim()).toBe('');
  });

  it('have an entry for every index that is meant for users', () => {
    const indexes = sourceFiles().filter((file) => file.path.endsWith('index.ts'));
    const sources = entryPoints.map((entry) => entry.source);
    expect(indexes.map((file) => `src/${file.path}`).filter((path) => !sources.includes(path))).toEqual([]);
  });
});

whenBuilt('the built package', () => {
  it.each(entryPoints.map((entry) => [entry.specifier, entry] as const))(
    'has %s, and it loads',
    async (_s, entry) => {
      expect(existsSync(`${root}${entry.types}`)).toBe(true);
      const module = (await import(/* @vite-ignore */ `${root}${entry.runtime}`)) as object;
      expect('default' in module).toBe(false);
      expect(Object.keys(module).length).toBeGreaterThan(0);
    },
  );

  it('has commands that can be executed', () => {
    for (const path of Object.values(manifest.bin)) {
      expect(readFileSync(`${root}${path}`, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
      expect(statSync(`${root}${path}`).mode & 0o111).toBe(0o111);
    }
  });
});
