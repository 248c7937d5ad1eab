import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Engine } from './engine.ts';
import { type Mutant, mutants } from './mutants.ts';
import { simulate } from './simulate.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
// Inside the package, so that a mutant finds the dependencies.
const nursery = join(root, `.build/mutants-${process.pid}`);
const folders = ['core', 'ports', 'saga', 'adapters/memory', 'adapters/internal'];

afterAll(() => rmSync(nursery, { recursive: true, force: true }));

/** A copy of the code with one mistake in it. */
async function breed({ changes }: Mutant, index: number): Promise<Engine> {
  const home = join(nursery, String(index));
  for (const folder of folders) {
    mkdirSync(join(home, folder), { recursive: true });
    cpSync(join(root, 'src', folder), join(home, folder), { recursive: true });
  }
  for (const { file, from, to } of changes) {
    const text = readFileSync(join(home, file), 'utf8');
    expect(text.split(from), `${file} has the text to change once`).toHaveLength(2);
    writeFileSync(
      join(home, file),
      text.replace(from, () => to),
    );
  }
  const load = (file: string): Promise<Engine> => import(pathToFileURL(join(home, file)).href);
  const { SagaRunner } = await load('saga/runner.ts');
  const { saga, refuse } = await load('saga/saga.ts');
  const { memorySagaStore } = await load('adapters/memory/saga-store.ts');
  return { SagaRunner, saga, refuse, memorySagaStore };
}

describe('the simulation finds what breaks the engine', () => {
  it.each(mutants.map((mutant, index) => [mutant.name, mutant, index] as const))(
    '%s',
    {
      timeout: 600_000,
    },
    async (_name, mutant, index) => {
      const engine = await breed(mutant, index);
      let found = '';
      for (let seed = 1; seed <= 200 && found === ''; seed += 1) {
        const { breaches } = await simulate(engine, seed, 100);
        if (breaches.length > 0) found = `SEED=${seed} ${breaches[0]}`;
      }
      if (process.env.VERBOSE) console.log(`| ${mutant.name} | ${found} |`);
      expect(found).not.toBe('');
    },
  );
});
