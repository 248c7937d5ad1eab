import { isPlainObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { valueAt } from '../core/json-tree.ts';
import { type SchemaIssue, type StandardSchema, validate } from '../core/schema.ts';
import { merge, type SourcedLayer, winner } from './merge.ts';
import { formatPath } from './path.ts';
import { keysOf, threw } from './secret.ts';

/** What a schema says of values: its result, or why not. */
export type Checked<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/**
 * Check values by a schema. Values that a source parsed from a text (`5` from an environment variable) and that the
 * schema refuses are offered as that text instead; when that does not help either, both objections are told.
 */
export async function check<T>(
  schema: StandardSchema<unknown, T>,
  values: JsonObject,
  layers: readonly SourcedLayer[],
): Promise<Checked<T>> {
  const objections: Map<string, SchemaIssue> = new Map();
  for (let offered = values; ; ) {
    const result = await validateSafely(schema, offered);
    if (result.issues === undefined) return result;
    const texts = textsBelow(result.issues, values, layers).filter(({ path }) => !objections.has(path));
    if (texts.length === 0) return { issues: allObjections(result.issues, objections) };
    for (const { path, issue } of texts) objections.set(path, issue);
    offered = merge([offered, ...texts.map(({ keys, text }) => nest(keys, text))]);
  }
}

async function validateSafely<T>(
  schema: StandardSchema<unknown, T>,
  values: JsonObject,
): Promise<Checked<T>> {
  try {
    return await validate(schema, values);
  } catch (error) {
    return { issues: [{ message: threw(error) }] };
  }
}

interface TextLeaf {
  readonly keys: readonly string[];
  readonly path: string;
  readonly text: string;
  readonly issue: SchemaIssue;
}

/** The texts behind the values that issues are about: at an issue's path, or anywhere below it. */
function textsBelow(
  issues: readonly SchemaIssue[],
  values: JsonObject,
  layers: readonly SourcedLayer[],
): TextLeaf[] {
  if (layers.every((layer) => layer.text === undefined)) return [];
  const found: TextLeaf[] = [];
  const visit = (value: unknown, keys: readonly string[], issue: SchemaIssue): void => {
    const text = value === undefined ? undefined : winner(layers, keys)?.text?.(keys);
    if (text !== undefined) found.push({ keys, path: formatPath(keys), text, issue });
    else if (isPlainObject(value)) {
      for (const [key, child] of Object.entries(value)) visit(child, [...keys, key], issue);
    }
  };
  for (const issue of issues) visit(valueAt(values, keysOf(issue)), keysOf(issue), issue);
  return found;
}

function nest(keys: readonly string[], text: string): JsonObject {
  return keys.reduceRight<JsonValue>((value, key) => ({ [key]: value }), text) as JsonObject;
}

/** Where the text was tried too and refused as well, both are told: only a person knows which of them was meant. */
function allObjections(
  issues: readonly SchemaIssue[],
  objections: ReadonlyMap<string, SchemaIssue>,
): SchemaIssue[] {
  const all = issues.map((issue) => {
    const path = formatPath(keysOf(issue));
    const first = objections.get(path);
    if (first === undefined) return issue;
    // What was first said of something larger, such as two values that do not fit together, says it all.
    if (formatPath(keysOf(first)) !== path || first.message === issue.message) return first;
    return { ...first, message: `${first.message} (and as text: ${issue.message})` };
  });
  return [...new Set(all)];
}
