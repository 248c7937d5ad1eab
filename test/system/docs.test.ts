import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = join(root, '.build/docs');
const run = promisify(execFile);

const pages = ['README.md', 'docs/getting-started.md'].concat(
  readdirSync(join(root, 'docs/guides'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/guides/${file}`),
);

/** The first code block of a page, as JavaScript. */
function firstBlock(page: string): string | undefined {
  const match = /```(js|ts)\n([\s\S]*?)```/.exec(readFileSync(join(root, page), 'utf8'));
  if (match === null) return undefined;
  if (match[1] === 'js') return match[2];
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(match[2]!, { compilerOptions: options }).outputText;
}

describe('the first code block of each page runs when pasted', () => {
  it.each(pages)('%s', async (page) => {
    const code = firstBlock(page);
    expect(code).toBeDefined();
    mkdirSync(scratch, { recursive: true });
    const file = join(scratch, `${basename(page, '.md')}.mjs`);
    writeFileSync(file, code!);
    const { stdout } = await run(process.execPath, [file], { cwd: scratch, timeout: 120_000 });
    expect(stdout.trim()).not.toBe('');
  });
});

describe('each example runs to its end', () => {
  const examples = readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.ts'));
  it.each(examples)('examples/%s', async (example) => {
    const file = join(root, '.build/examples', example.replace('.ts', '.js'));
    const { stdout } = await run(process.execPath, [file], { cwd: root, timeout: 120_000 });
    expect(stdout.trim()).not.toBe('');
  });
});
