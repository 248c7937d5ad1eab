/** The statements of the store. Each operation is one, so that it is atomic over any pool and on any connection. */
import type { SagaRow } from '../internal/saga-row.ts';
import { dueAt, type SagaTables } from './saga-schema.ts';

/** The server's clock, in milliseconds since 1970; `extract` gives a numeric, which is slower by far. */
const now = "(date_part('epoch', statement_timestamp()) * 1000)";

/** Columns that a saga begins with, with their types. */
export const createdColumns: readonly (readonly [keyof SagaRow, string])[] = [
  ['id', 'text'],
  ['saga', 'text'],
  ['hash', 'text'],
  ['definition_version', 'double precision'],
  ['status', 'text'],
  ['input', 'text'],
  ['steps', 'text'],
  ['reason', 'text'],
  ['parked_at', 'text'],
  ['deadline', 'double precision'],
  ['wake_at', 'double precision'],
  ['created_at', 'double precision'],
];

/** Columns of an update, with their types: which row, how many requests were seen, and what is written. */
export const updateColumns: readonly (readonly [string, string])[] = [
  ['id', 'text'],
  ['epoch', 'integer'],
  ['version', 'integer'],
  ['seen', 'integer'],
  ['status', 'text'],
  ['steps', 'text'],
  ['reason', 'text'],
  ['parked_at', 'text'],
  ['repairs', 'text'],
  ['wake_at', 'double precision'],
  ['updated_at', 'double precision'],
];

const unnest = (columns: readonly (readonly [string, string])[]): string =>
  `unnest(${columns.map(([, type], index) => `$${index + 1}::${type}[]`).join(', ')}) AS u(${namesOf(columns)})`;
const namesOf = (columns: readonly (readonly [string, string])[]): string =>
  columns.map(([name]) => name).join(', ');

/** Texts of all statements. Those that end in `One` write one row, which the server plans in half the time. */
export type SagaStatements = Readonly<
  Record<
    | 'create'
    | 'createOne'
    | 'createLeased'
    | 'createOneLeased'
    | 'updateOne'
    | 'update'
    | 'request'
    | 'extend'
    | 'claim'
    | 'park'
    | 'take'
    | 'heartbeat'
    | 'release'
    | 'select'
    | 'purge',
    string
  >
>;

/** The statements for these tables. */
export function sagaStatements(tables: SagaTables): SagaStatements {
  return {
    ...createStatements(tables),
    ...updateStatements(tables),
    ...requestStatement(tables),
    ...claimStatements(tables),
    ...otherStatements(tables),
  };
}

/** What a row is read as. */
function selected(requests: string, sagas: string): string {
  return `id, saga, hash, definition_version, status, input, steps, reason, parked_at, repairs, deadline, wake_at,
    epoch, version, claims, created_at, updated_at, due_at, ${now} AS claimed_at, CASE WHEN request_count > 0 THEN
      (SELECT '[' || string_agg(r.body, ',' ORDER BY r.place) || ']' FROM ${requests} AS r
        WHERE r.saga_id = ${sagas}.id) END AS requests`;
}

function createStatements({ sagas, leases }: SagaTables) {
  const size = createdColumns.length;
  const owner = `$${size + 1}::text`;
  const insert = `INSERT INTO ${sagas}
    (${namesOf(createdColumns)}, updated_at, ready_at, due_at, epoch, version, claims, owner)`;
  const others = (of: (column: keyof SagaRow) => string): string => {
    const [created, status] = [of('created_at'), of('status')];
    const readyAt = `least(${created}, ${now})`;
    const due = dueAt({ status, woken: 'false', wakeAt: of('wake_at'), readyAt });
    return `${created}, ${readyAt}, ${due}, 1, 0, 0, CASE WHEN ${status} <> 'waiting' THEN ${owner} END`;
  };
  const skip = 'ON CONFLICT (id) DO NOTHING RETURNING id';
  // Ids in order, so that two batches that meet wait for each other and never in a circle.
  const create = `${insert} SELECT u.*, ${others((column) => `u.${column}`)}
    FROM ${unnest(createdColumns)} ORDER BY u.id ${skip}`;
  const bound = createdColumns.map(([, type], index) => `$${index + 1}::${type}`);
  const placeOf = (name: keyof SagaRow): string =>
    bound[createdColumns.findIndex(([column]) => column === name)]!;
  const row = `${bound.join(', ')}, ${others(placeOf)}`;
  const createOne = `${insert} VALUES (${row}) ${skip}`;
  const leased = (made: string): string =>
    `WITH leased AS (${extendLease(leases, owner, `$${size + 2}`)}), made AS (${made}) SELECT id FROM made`;
  return { create, createOne, createLeased: leased(create), createOneLeased: leased(createOne) };
}

/** What begins to wait is held by nobody, and is due when a request came that its writer had not seen. */
function updateStatements({ sagas }: SagaTables) {
  const unseen = (of: (column: string) => string): string => `(s.request_count > ${of('seen')})`;
  const dueOf = (of: (column: string) => string): string =>
    dueAt({ status: of('status'), woken: unseen(of), wakeAt: of('wake_at'), readyAt: 's.ready_at' });
  const statement = (of: (column: string) => string, from: string): string => `UPDATE ${sagas} AS s
    SET status = ${of('status')}, steps = ${of('steps')}, reason = ${of('reason')},
      parked_at = ${of('parked_at')}, repairs = ${of('repairs')}, wake_at = ${of('wake_at')},
      updated_at = ${of('updated_at')}, version = s.version + 1, claims = 0,
      owner = CASE WHEN ${of('status')} <> 'waiting' THEN s.owner END,
      woken = ${of('status')} = 'waiting' AND ${unseen(of)}, due_at = ${dueOf(of)}
    ${from} WHERE s.id = ${of('id')} AND s.epoch = ${of('epoch')} AND s.version = ${of('version')}
    RETURNING s.id, s.request_count`;
  const bound = (column: string): string => {
    const index = updateColumns.findIndex(([name]) => name === column);
    return `$${index + 1}::${updateColumns[index]![1]}`;
  };
  return {
    update: statement((column) => `u.${column}`, `FROM ${unnest(updateColumns)}`),
    updateOne: statement(bound, ''),
  };
}

function requestStatement({ sagas, requests }: SagaTables) {
  // The row is locked first: then its count is the newest, and of two requests of one id the second finds the first.
  const request = `WITH target AS MATERIALIZED
      (SELECT id, status, request_count FROM ${sagas} WHERE id = $1 FOR UPDATE),
    known AS (SELECT 1 FROM ${requests} WHERE saga_id = $1 AND request_id = $2),
    added AS (INSERT INTO ${requests} (saga_id, request_id, place, body)
      SELECT id, $2, request_count, $3 FROM target
      WHERE status NOT IN ('completed', 'compensated', 'resolved') AND request_count < $4::integer
        AND NOT EXISTS (SELECT FROM known)
      ON CONFLICT DO NOTHING RETURNING saga_id),
    woken AS (UPDATE ${sagas} AS s SET request_count = s.request_count + 1, woken = s.status = 'waiting',
        due_at = ${dueAt({ status: 's.status', woken: 'true', wakeAt: 's.wake_at', readyAt: 's.ready_at' })}
      FROM added WHERE s.id = added.saga_id RETURNING 1)
    SELECT status, request_count, EXISTS (SELECT FROM known) AS known, EXISTS (SELECT FROM added) AS added
    FROM target`;
  return { request };
}

function extendLease(leases: string, owner: string, ttl: string): string {
  return `INSERT INTO ${leases} AS l (owner, expires_at) VALUES (${owner}::text, ${now} + ${ttl}::double precision)
    ON CONFLICT (owner) DO UPDATE SET expires_at = greatest(l.expires_at, excluded.expires_at)`;
}

/**
 * A statement sees the tables as they were when it began, but of a row that it waited for, the newest version. So of two
 * claims of one row the later one would take it from the first, whose lease it does not see. Therefore the row's epoch
 * must be what it was when the statement began: whoever took it meanwhile has raised it.
 */
const untouched = (sagas: string): string =>
  `c.epoch = (SELECT o.epoch FROM ${sagas} AS o WHERE o.id = c.id)`;

function claimStatements({ sagas, leases, requests }: SagaTables) {
  const held = (row: string): string =>
    `EXISTS (SELECT FROM ${leases} AS l WHERE l.owner = ${row}.owner AND l.expires_at > ${now})`;
  const isFree = `CASE WHEN c.owner = $3 THEN c.id <> ALL ($4::text[]) ELSE NOT ${held('c')} END`;
  const claim = `WITH picked AS MATERIALIZED (SELECT f.id
      FROM unnest($1::text[], $2::text[]) AS d(saga, hash) CROSS JOIN LATERAL (
        SELECT c.id FROM ${sagas} AS c
        WHERE c.saga = d.saga AND c.hash = d.hash AND c.due_at <= ${now} AND ${isFree} AND ${untouched(sagas)}
        ORDER BY c.due_at, c.id LIMIT $5 FOR UPDATE SKIP LOCKED) AS f)
    UPDATE ${sagas} SET owner = $3, epoch = epoch + 1, claims = claims + 1
    FROM picked WHERE ${sagas}.id = picked.id RETURNING ${selected(requests, sagas).replace('id,', `${sagas}.id,`)}`;
  const park = `UPDATE ${sagas} SET status = 'parked', reason = $3, parked_at = $4, updated_at = $5, due_at = NULL
    WHERE id = $1 AND epoch = $2 RETURNING id`;
  const take = `WITH picked AS MATERIALIZED (SELECT c.id FROM ${sagas} AS c
      WHERE c.id = $1 AND c.epoch = $4 AND c.version = $5
        AND NOT (c.status IN ('running', 'waiting', 'compensating') AND ${held('c')}) FOR UPDATE),
    leased AS (INSERT INTO ${leases} AS l (owner, expires_at)
      SELECT $2::text, ${now} + $3::double precision FROM picked
      ON CONFLICT (owner) DO UPDATE SET expires_at = greatest(l.expires_at, excluded.expires_at))
    UPDATE ${sagas} SET owner = $2, epoch = epoch + 1
    FROM picked WHERE ${sagas}.id = picked.id RETURNING ${sagas}.id`;
  const heartbeat = `UPDATE ${leases} SET expires_at = greatest(expires_at, ${now} + $2::double precision)
    WHERE owner = $1 AND expires_at > ${now} RETURNING owner`;
  // What ended an hour ago goes, too; not what others write just now.
  const extend = `WITH old AS (DELETE FROM ${leases} WHERE owner IN (SELECT owner FROM ${leases}
      WHERE expires_at < ${now} - 3600000 AND owner <> $1 FOR UPDATE SKIP LOCKED))
    ${extendLease(leases, '$1', '$2')}`;
  const release = `DELETE FROM ${leases} WHERE owner = $1`;
  return { claim, park, take, heartbeat, extend, release };
}

function otherStatements({ sagas, requests }: SagaTables) {
  const select = `SELECT ${selected(requests, sagas)} FROM ${sagas}`;
  const purge = `WITH old AS MATERIALIZED (SELECT id FROM ${sagas}
      WHERE status IN ('completed', 'compensated', 'resolved') AND updated_at < $1
      ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED),
    unasked AS (DELETE FROM ${requests} USING old WHERE saga_id = old.id),
    gone AS (DELETE FROM ${sagas} AS s USING old WHERE s.id = old.id RETURNING 1)
    SELECT count(*)::integer AS purged FROM gone`;
  return { select, purge };
}
