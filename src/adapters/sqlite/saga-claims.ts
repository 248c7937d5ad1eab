import type { ClaimedSaga, ClaimRequest, Lease, SagaRecord } from '../../ports/saga-store.ts';
import { shapeOf } from '../internal/saga-query.ts';
import { claimedRow, decodeForRepair, isUnfinished, type SagaRow } from '../internal/saga-row.ts';
import type { SqliteConnection } from './connection.ts';
import type { SagaRows } from './saga-rows.ts';
import type { SagaWrites } from './saga-writes.ts';
import type { SagaTables } from './schema.ts';

/** Who holds what. */
export class SagaClaims {
  readonly #connection: SqliteConnection;
  readonly #tables: SagaTables;
  readonly #rows: SagaRows;
  readonly #writes: SagaWrites;

  constructor(connection: SqliteConnection, tables: SagaTables, rows: SagaRows, writes: SagaWrites) {
    this.#connection = connection;
    this.#tables = tables;
    this.#rows = rows;
    this.#writes = writes;
  }

  claim(request: ClaimRequest, lease: Lease): Promise<readonly ClaimedSaga[]> {
    const now = this.#connection.clock.wallTime();
    const shapes = new Map(request.definitions.map((definition) => [shapeOf(definition), definition]));
    return this.#connection.transact('claim', () => {
      // Leases that have ended hold nothing, so they are swept here; what is left is alive.
      this.#connection.prepare(`DELETE FROM ${this.#tables.leases} WHERE expires_at <= ?`).run(now);
      const holding = JSON.stringify(request.holding);
      const claimed = [...shapes.values()].flatMap(({ saga, hash }) =>
        this.#claimable(saga, hash, now, lease.owner, holding, request.limitEach).map((row) =>
          this.#own(row, request.maxClaims, lease.owner, now),
        ),
      );
      this.#writes.extend(lease);
      return claimed;
    });
  }

  #claimable(
    ...values: [saga: string, hash: string, now: number, owner: string, holding: string, limit: number]
  ) {
    const condition = `WHERE saga = ? AND hash = ? AND due_at <= ?
        AND status IN ('running', 'waiting', 'compensating')
        AND CASE WHEN owner = ? THEN id NOT IN (SELECT value FROM json_each(?))
          ELSE NOT EXISTS (SELECT 1 FROM ${this.#tables.leases} AS l WHERE l.owner = s.owner) END
      ORDER BY due_at, id LIMIT ?`;
    return this.#rows.select(condition, ...values);
  }

  /** Make a row the owner's, or park it when it can get no further; then its content stays as it is. */
  #own(before: SagaRow, maxClaims: number, owner: string, now: number): ClaimedSaga {
    const { row, record, parked } = claimedRow(before, maxClaims, now);
    const { id, epoch, claims, status, reason, parked_at, updated_at } = row;
    if (!parked) {
      const own = `UPDATE ${this.#tables.sagas} SET owner = ?, epoch = ?, claims = ? WHERE id = ?`;
      this.#connection.prepare(own).run(owner, epoch, claims, id);
    } else {
      const park = `UPDATE ${this.#tables.sagas}
        SET status = ?, reason = ?, parked_at = ?, updated_at = ?, epoch = ?, claims = ? WHERE id = ?`;
      this.#connection.prepare(park).run(status, reason, parked_at, updated_at, epoch, claims, id);
    }
    return record;
  }

  take(id: string, lease: Lease): Promise<SagaRecord | undefined> {
    return this.#connection.transact('take', () => {
      const row = this.#rows.find(id);
      if (row === undefined || (isUnfinished(row.status) && this.#isHeld(id))) return undefined;
      const epoch = row.epoch + 1;
      const record = decodeForRepair({ ...row, epoch });
      const own = `UPDATE ${this.#tables.sagas} SET owner = ?, epoch = ? WHERE id = ?`;
      this.#connection.prepare(own).run(lease.owner, epoch, id);
      this.#writes.extend(lease);
      return record;
    });
  }

  #isHeld(id: string): boolean {
    const select = `SELECT 1 FROM ${this.#tables.leases} AS l, ${this.#tables.sagas} AS s
      WHERE s.id = ? AND l.owner = s.owner AND l.expires_at > ?`;
    return this.#connection.prepare(select).all(id, this.#connection.clock.wallTime()).length > 0;
  }

  heartbeat({ owner, ttl }: Lease): Promise<boolean> {
    return this.#connection.run('heartbeat', () => {
      const now = this.#connection.clock.wallTime();
      const extend = `UPDATE ${this.#tables.leases} SET expires_at = ? WHERE owner = ? AND expires_at > ?`;
      return Number(this.#connection.prepare(extend).run(now + ttl, owner, now).changes) === 1;
    });
  }

  async release(owner: string): Promise<void> {
    await this.#connection.run('release', () =>
      this.#connection.prepare(`DELETE FROM ${this.#tables.leases} WHERE owner = ?`).run(owner),
    );
  }
}
