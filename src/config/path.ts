/**
 * Paths of configuration values: keys joined by dots, `db.poolSize`. A key that would be misread is quoted:
 * `limits["api.example.com"].rate`.
 */

const plainKey = /^[^.[\]"]+$/;

/** The path as text; `(root)` for the whole. */
export function formatPath(keys: readonly string[]): string {
  let text = '';
  for (const key of keys) {
    if (!plainKey.test(key)) text += `[${JSON.stringify(key)}]`;
    else text += text === '' ? key : `.${key}`;
  }
  return text || '(root)';
}

const step = /\["((?:[^"\\]|\\.)*)"\]|\.?([^.[\]"]+)/y;

/** The keys of a path, or undefined when it is not one. Array items are keys too: `hosts.0`. */
export function parsePath(path: string): string[] | undefined {
  if (path === '(root)') return [];
  const keys: string[] = [];
  let index = path.startsWith('.') ? Number.NaN : 0;
  while (index < path.length) {
    step.lastIndex = index;
    const match = step.exec(path);
    if (match === null) return undefined;
    keys.push(match[2] ?? unquote(match[1]!));
    index = step.lastIndex;
  }
  return index === path.length && keys.length > 0 ? keys : undefined;
}

function unquote(quoted: string): string {
  try {
    return JSON.parse(`"${quoted}"`) as string;
  } catch {
    return quoted;
  }
}
