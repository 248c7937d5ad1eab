/**
 * The types that users see, as text, one file for each way into the package. A change of the API so shows in review as
 * a change of a file under `api/`. When it is meant: `npm run api`, and commit what changed.
 */
import { describe, expect, it } from 'vitest';
import { publicDeclarations } from './declarations.ts';
import { entryPoints } from './source-files.ts';

describe('the public types', () => {
  it.each(entryPoints.map((entry) => [entry.specifier, entry] as const))(
    'of %s are as committed',
    async (_s, entry) => {
      const name = entry.source
        .replace(/^src\//, '')
        .replace(/(?:\/index)?\.ts$/, '')
        .replaceAll('/', '-');
      await expect(publicDeclarations(entry.source)).toMatchFileSnapshot(`api/${name}.d.ts.txt`);
    },
  );
});
