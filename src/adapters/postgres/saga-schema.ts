/** Where the store's tables are. */
export interface SagaPlace {
  readonly schema: string;
  /** A checked identifier. */
  readonly tablePrefix: string;
}

/** Quoted names of the store's tables. */
export interface SagaTables {
  readonly sagas: string;
  readonly leases: string;
  readonly requests: string;
  readonly versions: string;
}

/** When a saga can be claimed, as each statement that changes one of these says it. */
export function dueAt(of: {
  readonly status: string;
  readonly woken: string;
  readonly wakeAt: string;
  readonly readyAt: string;
}): string {
  return `CASE WHEN ${of.status} = 'waiting' AND NOT ${of.woken} THEN ${of.wakeAt}
    WHEN ${of.status} IN ('running', 'waiting', 'compensating') THEN ${of.readyAt} END`;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The store's tables in a schema, under a prefix. */
export function sagaTables({ schema, tablePrefix }: SagaPlace): SagaTables {
  const named = (name: string): string => `${quoted(schema)}.${quoted(tablePrefix + name)}`;
  return {
    sagas: named('sagas'),
    leases: named('saga_leases'),
    requests: named('saga_requests'),
    versions: named('saga_schema'),
  };
}

/**
 * What makes the tables of each version from those of the one before, the first from nothing. Never change one that was
 * released: append. A step must leave tables that processes of the version before can go on with until they end.
 *
 * Ids sort by their bytes, whatever the locale. Half of each page is left free, since a saga's row is written several
 * times and grows: a new version of it beside the old one needs no new entry in an index (a HOT update). So no index
 * knows a column that changes while a saga runs. `due_at` follows from other columns, see `dueAt`; computed by the
 * server it would cost half of every write. It is null for what is over and for what waits without an end.
 */
function migrations(place: SagaPlace): readonly string[] {
  const { sagas, leases, requests } = sagaTables(place);
  const index = (name: string): string => quoted(`${place.tablePrefix}sagas_${name}`);
  const tables = `
    CREATE TABLE ${sagas} (
      id text COLLATE "C" PRIMARY KEY,
      saga text COLLATE "C" NOT NULL,
      hash text COLLATE "C" NOT NULL,
      definition_version double precision NOT NULL,
      created_at double precision NOT NULL,
      updated_at double precision NOT NULL,
      deadline double precision,
      wake_at double precision,
      ready_at double precision NOT NULL,
      epoch integer NOT NULL,
      version integer NOT NULL,
      claims integer NOT NULL,
      request_count integer NOT NULL DEFAULT 0,
      woken boolean NOT NULL DEFAULT false,
      status text COLLATE "C" NOT NULL,
      due_at double precision,
      owner text COLLATE "C",
      reason text,
      parked_at text,
      repairs text,
      steps text NOT NULL,
      input text NOT NULL
    ) WITH (fillfactor = 50);
    CREATE INDEX ${index('due')} ON ${sagas} (saga, hash, due_at, id) WHERE due_at IS NOT NULL;
    CREATE INDEX ${index('newest')} ON ${sagas} (created_at, id);
    CREATE INDEX ${index('resting')} ON ${sagas} (saga, hash, definition_version, status)
      WHERE status IN ('waiting', 'parked');
    CREATE TABLE ${leases} (owner text COLLATE "C" PRIMARY KEY, expires_at double precision NOT NULL)
      WITH (fillfactor = 50);
    CREATE TABLE ${requests} (
      saga_id text COLLATE "C" NOT NULL,
      request_id text COLLATE "C" NOT NULL,
      place integer NOT NULL,
      body text NOT NULL,
      PRIMARY KEY (saga_id, request_id)
    );
  `;
  return [tables];
}

/** The version that this code reads and writes. */
export function knownVersion(place: SagaPlace): number {
  return migrations(place).length;
}

/**
 * One statement that creates what is missing and brings the rest up to date. Of processes that come together one does
 * it, since they wait for the lock; each statement within sees what those before it committed.
 */
export function migrationOf(place: SagaPlace): string {
  const { versions } = sagaTables(place);
  const steps = migrations(place);
  const body = steps.map(
    (step, index) => `
      IF found < ${index + 1} THEN
        ${step}
        INSERT INTO ${versions} (version) VALUES (${index + 1});
      END IF;`,
  );
  // A tag that is in none of the names.
  let tag = '$holdfast$';
  while (place.schema.includes(tag)) tag = tag.replace(/\$$/, '_$');
  return `DO ${tag}
    DECLARE found integer;
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtextextended(${literal(`holdfast ${versions}`)}, 0));
      -- Asked first, since creating what is there needs the right to create it.
      IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = ${literal(place.schema)}) THEN
        CREATE SCHEMA ${quoted(place.schema)};
      END IF;
      IF to_regclass(${literal(versions)}) IS NULL THEN
        CREATE TABLE ${versions} (version integer NOT NULL);
      END IF;
      SELECT coalesce(max(version), 0) INTO found FROM ${versions};
      ${body.join('')}
    END ${tag}`;
}
