/** A barrier's marks as rows keep them: one row an operation. */
import { z } from '../../core/options.ts';
import type { BarrierMark, BarrierMarks } from '../../ports/barrier-decision.ts';

/** What is selected of a row. */
export interface BarrierRow {
  readonly operation: string;
  readonly set_by: string;
  readonly fingerprint: string | null;
  readonly refused: string | null;
  readonly result: string | null;
}

/** The columns of a {@link BarrierRow}. */
export const barrierColumns = 'operation, set_by, fingerprint, refused, result';

/** The marks that were there before: the rows without those that the call has just set. */
export function foundMarks(rows: readonly BarrierRow[], set: ReadonlySet<string>): BarrierMarks {
  const found = rows.filter((row) => !set.has(row.operation));
  const markOf = (operation: string): BarrierMark | undefined => {
    const row = found.find((one) => one.operation === operation);
    return row === undefined ? undefined : toMark(row);
  };
  return { do: markOf('do'), undo: markOf('undo') };
}

function toMark({ set_by, fingerprint, refused, result }: BarrierRow): BarrierMark {
  return {
    by: set_by === 'undo' ? 'undo' : 'do',
    fingerprint: fingerprint ?? undefined,
    refused: refused ?? undefined,
    result: result ?? undefined,
  };
}

/** What stands before the names of tables. */
export function tablePrefixOption(): z.ZodDefault<z.ZodString> {
  return z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,47}$/, {
      error: 'up to 48 letters, digits and underscores that do not start with a digit',
    })
    .default('holdfast_');
}

/** @throws Error when tables are newer than the code. */
export function assertKnownVersion(found: number, known: number): void {
  if (found <= known) return;
  throw new Error(
    `the tables of the barrier are of version ${found} and this code knows ${known}; upgrade holdfast`,
  );
}
