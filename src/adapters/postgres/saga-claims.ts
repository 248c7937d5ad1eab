import type { ClaimedSaga, ClaimRequest, Lease, SagaRecord } from '../../ports/saga-store.ts';
import { shapeOf } from '../internal/saga-query.ts';
import { decodeForRepair, judgedRow, type SagaRow } from '../internal/saga-row.ts';
import { arrayLiteral, refuseNul } from './client.ts';
import type { SagaConnection } from './saga-connection.ts';
import type { SagaLeases } from './saga-leases.ts';

type ClaimedAnswer = SagaRow & { readonly due_at: number; readonly claimed_at: number };

/** Who holds what. */
export class SagaClaims {
  readonly #connection: SagaConnection;
  readonly #leases: SagaLeases;

  constructor(connection: SagaConnection, leases: SagaLeases) {
    this.#connection = connection;
    this.#leases = leases;
  }

  async claim(request: ClaimRequest, { owner, ttl }: Lease): Promise<readonly ClaimedSaga[]> {
    refuseNul({ owner });
    const shapes = [...new Map(request.definitions.map((shape) => [shapeOf(shape), shape])).values()];
    await this.#connection.ask('extend', [owner, ttl]);
    if (shapes.length === 0) return [];
    const rows = (await this.#connection.ask('claim', [
      arrayLiteral(shapes.map(({ saga }) => saga)),
      arrayLiteral(shapes.map(({ hash }) => hash)),
      owner,
      arrayLiteral(request.holding),
      request.limitEach,
    ])) as unknown as readonly ClaimedAnswer[];
    const ordered = [...rows].sort((a, b) => a.due_at - b.due_at || (a.id < b.id ? -1 : 1));
    const claimed = await Promise.all(ordered.map((row) => this.#judge(row, request.maxClaims)));
    return claimed.filter((record) => record !== undefined);
  }

  /** Park what no worker would get further with. Until then it is claimed; should this fail, the next claim does it. */
  async #judge(answer: ClaimedAnswer, maxClaims: number): Promise<ClaimedSaga | undefined> {
    const { row, record, parked } = judgedRow(answer, maxClaims, answer.claimed_at);
    if (!parked) return record;
    const { id, epoch, reason, parked_at, updated_at } = row;
    // What the row has may be what Postgres would not take again.
    const values = [id, epoch, reason?.replaceAll('\0', ''), parked_at, updated_at];
    const written = await this.#connection.ask('park', values);
    return written.length === 1 ? record : undefined;
  }

  async take(id: string, { owner, ttl }: Lease): Promise<SagaRecord | undefined> {
    refuseNul({ owner });
    for (;;) {
      const row = await this.#connection.find(id);
      if (row === undefined) return undefined;
      const record = decodeForRepair({ ...row, epoch: row.epoch + 1 });
      const taken = await this.#connection.ask('take', [id, owner, ttl, row.epoch, row.version]);
      if (taken.length === 1) return record;
      const now = await this.#connection.find(id);
      // Where it is as it was, somebody holds it. Otherwise it was written meanwhile, perhaps for the last time.
      if (now?.epoch === row.epoch && now.version === row.version) return undefined;
    }
  }

  async heartbeat({ owner, ttl }: Lease): Promise<boolean> {
    const lives = (await this.#connection.ask('heartbeat', [owner, ttl])).length === 1;
    if (!lives) this.#leases.forget(owner);
    return lives;
  }

  async release(owner: string): Promise<void> {
    this.#leases.forget(owner);
    await this.#connection.ask('release', [owner]);
    // A create that was under way may have remembered it again.
    this.#leases.forget(owner);
  }
}
