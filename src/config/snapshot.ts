/**
 * From layers to one configuration: merge, interpolate, check, freeze. Pure but for what the user's schema does.
 */
import type { ConfigIssue } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { JsonObject } from '../core/json.ts';
import type { SchemaIssue, StandardSchema } from '../core/schema.ts';
import { check } from './check.ts';
import { frozenCopy } from './freeze.ts';
import { interpolate, type Reference } from './interpolate.ts';
import { merge, originOf, type SourcedLayer, winner } from './merge.ts';
import { formatPath } from './path.ts';
import { keysOf, Secret } from './secret.ts';

/** One accepted configuration and what it was made from. */
export interface Snapshot<T> {
  /** The schema's result, deeply frozen. */
  readonly value: T;
  /** What the schema was given. */
  readonly merged: JsonObject;
  readonly layers: readonly SourcedLayer[];
}

/** A snapshot, or why there is none. */
export type Built<T> =
  | { readonly snapshot: Snapshot<T>; readonly issues?: undefined }
  | { readonly issues: readonly ConfigIssue[] };

/** Make a configuration of these layers, lowest first. Never rejects. */
export async function build<T>(
  schema: StandardSchema<unknown, T>,
  layers: readonly SourcedLayer[],
  withInterpolation: boolean,
): Promise<Built<T>> {
  const locate = (issues: readonly SchemaIssue[]): Built<T> => ({
    issues: issues.flatMap((issue) => toConfigIssues(issue, layers)),
  });
  const values = merge(layers.map((layer) => layer.values));
  const complete = withInterpolation ? interpolate(values) : { values, references: [], issues: [] };
  if (complete.issues.length > 0) return locate(complete.issues);
  const checked = await check(schema, complete.values, layers);
  if (checked.issues !== undefined) return locate(checked.issues);
  const leaks = complete.references.flatMap((reference) => leakIssue(checked.value, reference));
  if (leaks.length > 0) return locate(leaks);
  try {
    return { snapshot: { value: frozenCopy(checked.value), merged: complete.values, layers } };
  } catch (error) {
    return locate([{ message: `the schema's result cannot be used: ${messageOf(error)}` }]);
  }
}

/** A text that takes in a secret is one itself, and has to be declared so. */
function leakIssue(value: unknown, { holder, target }: Reference): SchemaIssue[] {
  if (!isWithinSecret(value, target) || isWithinSecret(value, holder)) return [];
  return [
    { message: `takes in the secret ${formatPath(target)}; declare it with secret() too`, path: holder },
  ];
}

function isWithinSecret(value: unknown, keys: readonly string[]): boolean {
  let at = value;
  for (const key of keys) {
    if (at instanceof Secret || typeof at !== 'object' || at === null) break;
    at = Object.hasOwn(at, key) ? (at as Record<string, unknown>)[key] : undefined;
  }
  return at instanceof Secret;
}

/** An issue of the schema with the place that the value came from; one for each key that has no place in the schema. */
function toConfigIssues(issue: SchemaIssue, layers: readonly SourcedLayer[]): ConfigIssue[] {
  const keys = keysOf(issue);
  const unknownKeys = (issue as { readonly keys?: unknown }).keys;
  if (!Array.isArray(unknownKeys)) return [located(keys, issue.message, layers)];
  return unknownKeys.map((key) =>
    located([...keys, String(key)], 'is not in the schema; check its spelling', layers),
  );
}

function located(keys: readonly string[], message: string, layers: readonly SourcedLayer[]): ConfigIssue {
  const layer = keys.length === 0 ? undefined : winner(layers, keys);
  const source = layer && originOf(layer, keys);
  return { path: formatPath(keys), message, ...(source === undefined ? {} : { source }) };
}
