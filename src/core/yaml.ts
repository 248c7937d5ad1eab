import { parseDocument } from 'yaml';
import { InvalidPayloadError } from './errors.ts';
import { messageOf } from './holdfast-error.ts';
import type { JsonValue } from './json.ts';

/** Aliases that one document may expand to: enough for people, too few for a "billion laughs" bomb. */
const aliasLimit = 100;

/**
 * Parse one YAML 1.2 document from outside. Duplicate keys, custom tags and keys that reach a prototype are refused;
 * dates stay strings, as they are in JSON.
 *
 * @throws InvalidPayloadError with line and column.
 */
export function parseYaml(text: string, what: string): JsonValue {
  try {
    const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true, schema: 'core' });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw problem;
    return document.toJS({
      maxAliasCount: aliasLimit,
      reviver: (key, value) => {
        if (key === '__proto__') throw new SyntaxError('the key "__proto__" is not allowed');
        return value;
      },
    }) as JsonValue;
  } catch (error) {
    throw new InvalidPayloadError(what, `is not acceptable YAML: ${messageOf(error)}`, error);
  }
}
