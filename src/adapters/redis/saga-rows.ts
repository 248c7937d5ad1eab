/** Rows as the hashes of Redis keep them: texts by name, and no field for what is null. */
import type { SagaChange, SagaRow } from '../internal/saga-row.ts';

/** What the script \`read\` answers for one saga: id, names and values, requests. */
export type RowAnswer = readonly [id: string, fields: readonly string[], requests: readonly string[]];

/** Names and values of what is not null, and the names of what is. */
export function fieldsOf(columns: Partial<SagaRow> | SagaChange): {
  readonly fields: readonly string[];
  readonly empty: readonly string[];
} {
  const fields: string[] = [];
  const empty: string[] = [];
  for (const [name, value] of Object.entries(columns)) {
    if (value === null) empty.push(name);
    else fields.push(name, String(value));
  }
  return { fields, empty };
}

/** A row from what a script answers. */
export function rowOf([id, fields, requests]: RowAnswer): SagaRow {
  const found = new Map<string, string>();
  for (let index = 0; index < fields.length; index += 2) found.set(fields[index]!, fields[index + 1]!);
  const text = (name: keyof SagaRow): string => found.get(name) ?? '';
  const textOrNull = (name: keyof SagaRow): string | null => found.get(name) ?? null;
  const number = (name: keyof SagaRow): number => Number(found.get(name));
  const numberOrNull = (name: keyof SagaRow): number | null => (found.has(name) ? number(name) : null);
  return {
    id,
    saga: text('saga'),
    hash: text('hash'),
    definition_version: number('definition_version'),
    status: text('status'),
    input: text('input'),
    steps: text('steps'),
    reason: textOrNull('reason'),
    parked_at: textOrNull('parked_at'),
    repairs: textOrNull('repairs'),
    deadline: numberOrNull('deadline'),
    wake_at: numberOrNull('wake_at'),
    epoch: number('epoch'),
    version: number('version'),
    claims: number('claims'),
    created_at: number('created_at'),
    updated_at: number('updated_at'),
    requests: requests.length === 0 ? null : inOrder(requests),
  };
}

/** Each is `<place> <JSON>`. */
function inOrder(requests: readonly string[]): string {
  const placed = requests.map((entry) => {
    const end = entry.indexOf(' ');
    return { place: Number(entry.slice(0, end)), body: entry.slice(end + 1) };
  });
  placed.sort((a, b) => a.place - b.place);
  return `[${placed.map(({ body }) => body).join()}]`;
}
