/** Names of the barrier's tables, quoted; and what makes them. */
interface Place {
  readonly schema: string;
  /** A checked identifier. */
  readonly tablePrefix: string;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** The barrier's tables in a schema, under a prefix. */
export function barrierTables({ schema, tablePrefix }: Place): {
  readonly marks: string;
  readonly versions: string;
} {
  const named = (name: string): string => `${quoted(schema)}.${quoted(tablePrefix + name)}`;
  return { marks: named('saga_barrier'), versions: named('saga_barrier_schema') };
}

/** What processes that start together lock. */
export function lockName(place: Place): string {
  return `holdfast ${barrierTables(place).versions}`;
}

/** What makes the tables of each version from those of the one before. Never change one that was released: append. */
export function barrierMigrations(place: Place): readonly string[] {
  const { marks } = barrierTables(place);
  return [
    `CREATE TABLE ${marks} (
      saga text COLLATE "C" NOT NULL,
      step text COLLATE "C" NOT NULL,
      operation text COLLATE "C" NOT NULL,
      set_by text NOT NULL,
      fingerprint text,
      refused text,
      result text,
      set_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (saga, step, operation)
    )`,
  ];
}
