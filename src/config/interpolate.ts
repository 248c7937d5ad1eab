/**
 * `${path}` in a text stands for the value at that path of the merged configuration; `$${` for a literal `${`. What the
 * issues say never quotes a text, since any text may turn out to be a secret.
 */
import { isPlainObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { valueAt } from '../core/json-tree.ts';
import type { SchemaIssue } from '../core/schema.ts';
import { formatPath, parsePath } from './path.ts';

/** The longest text that placeholders may make, in characters; `${a}${a}` doubles, so it needs an end. */
const lengthLimit = 65_536;

/** How many placeholders may lead on to one another. */
const chainLimit = 50;

/** That the text at one path took in the value at another. */
export interface Reference {
  readonly holder: readonly string[];
  readonly target: readonly string[];
}

/** A tree after interpolation. Where there is an issue, the text stands as it was. */
export interface Interpolated {
  readonly values: JsonObject;
  readonly references: readonly Reference[];
  readonly issues: readonly SchemaIssue[];
}

/** Replace every placeholder in a tree. A text that is one placeholder and nothing else takes over the value's type. */
export function interpolate(tree: JsonObject): Interpolated {
  const work = new Interpolation(tree);
  const values = work.walk(tree, []) as JsonObject;
  return { values, references: work.references, issues: work.issues };
}

/** Why a text cannot be completed; its message is shown. */
class Obstacle extends Error {}

function tooLong(): Obstacle {
  return new Obstacle(`grows beyond ${lengthLimit} characters`);
}

class Interpolation {
  readonly references: Reference[] = [];
  readonly issues: SchemaIssue[] = [];
  readonly #tree: JsonObject;
  readonly #done: Map<string, JsonValue> = new Map();
  readonly #open: Set<string> = new Set();

  constructor(tree: JsonObject) {
    this.#tree = tree;
  }

  walk(value: JsonValue, keys: readonly string[]): JsonValue {
    if (typeof value === 'string') return this.#complete(value, keys);
    if (Array.isArray(value)) return value.map((item, index) => this.walk(item, [...keys, String(index)]));
    if (!isPlainObject(value)) return value;
    const entries = Object.entries(value as JsonObject);
    return Object.fromEntries(entries.map(([key, child]) => [key, this.walk(child, [...keys, key])]));
  }

  #complete(text: string, keys: readonly string[]): JsonValue {
    try {
      return this.#expand(text, keys);
    } catch (error) {
      if (!(error instanceof Obstacle)) throw error;
      this.issues.push({ message: error.message, path: keys });
      return text;
    }
  }

  #expand(text: string, keys: readonly string[]): JsonValue {
    if (!text.includes('${')) return text;
    const path = formatPath(keys);
    const known = this.#done.get(path);
    if (known !== undefined) return known;
    this.#refuseCycle(path);
    this.#open.add(path);
    try {
      const result = this.#substitute(text, keys);
      this.#done.set(path, result);
      return result;
    } finally {
      this.#open.delete(path);
    }
  }

  #refuseCycle(path: string): void {
    if (this.#open.has(path)) {
      const chain = [...this.#open];
      throw new Obstacle(`is part of a cycle: ${[...chain.slice(chain.indexOf(path)), path].join(' → ')}`);
    }
    if (this.#open.size >= chainLimit) throw new Obstacle(`refers through more than ${chainLimit} others`);
  }

  #substitute(text: string, keys: readonly string[]): JsonValue {
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    if (whole !== null) return this.#target(whole[1]!, keys);
    let left = lengthLimit;
    const result = text.replace(
      /(\$?)\$\{([^{}]*)(\}?)/g,
      (match, dollar: string, name: string, end: string) => {
        if (dollar !== '') return match.slice(1);
        if (end === '')
          throw new Obstacle('has a placeholder without its closing brace; write $${ for a literal ${');
        const value = String(this.#target(name, keys));
        left -= value.length;
        if (left < 0) throw tooLong();
        return value;
      },
    );
    if (result.length > lengthLimit) throw tooLong();
    return result;
  }

  #target(name: string, holder: readonly string[]): string | number | boolean {
    const target = parsePath(name.trim());
    const value = target === undefined ? undefined : valueAt(this.#tree, target);
    if (target === undefined || value === undefined) {
      throw new Obstacle('has a placeholder that names no value; write $${ for a literal ${');
    }
    this.references.push({ holder, target });
    const complete = typeof value === 'string' ? this.#expand(value, target) : value;
    if (typeof complete === 'object') {
      throw new Obstacle(
        'has a placeholder that names an object, an array or null; only texts, numbers and booleans fit',
      );
    }
    return complete as string | number | boolean;
  }
}
