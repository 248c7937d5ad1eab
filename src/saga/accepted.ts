/** What schemas accept, and what becomes of one whose own code throws. */
import { InvalidPayloadError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { issueSummary, type StandardSchema, validate } from '../core/schema.ts';

/** The code of a schema threw, so that whether a value fits is not known. */
export class SchemaFailure extends Error {
  constructor(cause: unknown) {
    super(`could not be checked: its schema threw ${messageOf(cause)}`, { cause });
  }
}

/** What whoever gave such a value is to hear. */
export function uncheckedPayload(what: string, cause: unknown): InvalidPayloadError {
  return new InvalidPayloadError(what, new SchemaFailure(cause).message, cause);
}

/**
 * What a schema makes of a value.
 *
 * @throws InvalidPayloadError when it does not accept it; SchemaFailure when it does not say.
 */
export async function acceptedBy(schema: StandardSchema, value: unknown, what: string): Promise<unknown> {
  let misfit: string;
  try {
    const result = await validate(schema, value);
    if (result.issues === undefined) return result.value;
    misfit = issueSummary(result.issues);
  } catch (cause) {
    throw new SchemaFailure(cause);
  }
  throw new InvalidPayloadError(what, misfit);
}
