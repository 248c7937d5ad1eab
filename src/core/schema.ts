/**
 * A schema by the Standard Schema specification, version 1 (standardschema.dev): zod, valibot, arktype and others
 * implement it, so a user's schema may come from any of them.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** Check a value. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that a schema finds wrong. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The type that a schema produces. */
export type SchemaOutput<S> = S extends StandardSchema<infer _Input, infer Output> ? Output : never;

/** Whether a value is a Standard Schema. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  const standard = (value as Partial<StandardSchema> | null | undefined)?.['~standard'];
  return typeof standard?.validate === 'function';
}

/** The part of zod's schemas that {@link validate} prefers. */
interface AsyncParser<Output> {
  safeParseAsync(
    value: unknown,
  ): Promise<
    | { readonly success: true; readonly data: Output }
    | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } }
  >;
}

/** Check a value by a schema. Never throws for a bad value; rejects with what the schema's own code throws. */
export async function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
): Promise<SchemaResult<Output>> {
  const parser = schema as Partial<AsyncParser<Output>>;
  if (schema['~standard'].vendor !== 'zod' || parser.safeParseAsync === undefined) {
    return schema['~standard'].validate(value);
  }
  // What zod offers as the standard tries synchronously first: an async check then runs twice, and when it rejects, the
  // first rejection is nobody's, which ends the process.
  const result = await parser.safeParseAsync(value);
  return result.success ? { value: result.data } : { issues: result.error.issues };
}

/** An issue's path, dotted; `(root)` for the value itself. */
export function issuePath(issue: SchemaIssue): string {
  const keys = issue.path?.map((part) => String(typeof part === 'object' ? part.key : part)) ?? [];
  return keys.join('.') || '(root)';
}

/** All issues in one line. */
export function issueSummary(issues: readonly SchemaIssue[]): string {
  return issues.map((issue) => `${issuePath(issue)}: ${issue.message}`).join(' · ');
}
