import { parseOptions, z } from '../../core/options.ts';
import {
  type ClaimedSaga,
  type ClaimRequest,
  type Lease,
  type NewSaga,
  type RequestOutcome,
  type SagaCount,
  type SagaQuery,
  type SagaRecord,
  type SagaRequest,
  type SagaStore,
  sagaRequestLimit,
  type Written,
} from '../../ports/saga-store.ts';
import { shapeOf } from '../internal/saga-query.ts';
import {
  changeOf,
  createdRecord,
  decodeForRepair,
  decodeRow,
  encodeRequest,
  judgedRow,
  newRow,
  type SagaRow,
} from '../internal/saga-row.ts';
import { type RedisClient, redisClientOption } from './client.ts';
import { SagaCommands } from './saga-commands.ts';
import { redisDurability } from './saga-durability.ts';
import { fieldsOf, type RowAnswer, rowOf } from './saga-rows.ts';
import { SagaSearch } from './saga-search.ts';

/** Options of {@link redisSagaStore}. */
export interface RedisSagaStoreOptions {
  /** Your connected client, of `redis` (node-redis) or `ioredis`. It stays yours and is never closed here. */
  readonly client: RedisClient;
  /**
   * What every key begins with. It must have a hash tag, so that all keys of a store are in one slot of a cluster.
   * Default `holdfast:{sagas}:`.
   */
  readonly prefix?: string | undefined;
}

const optionsSchema = z.strictObject({
  client: redisClientOption(),
  prefix: z
    .string()
    .regex(/^[^{]*\{[^}]+\}/, { error: 'a prefix with a hash tag, such as shop:{sagas}:' })
    .default('holdfast:{sagas}:'),
});

/**
 * Keeps sagas in Redis 5 or newer, one script an operation. Time is the server's. All of a store is in one slot of a
 * cluster. What a resolved write survives depends on how the server persists: `durability` says it once started. With
 * `appendfsync everysec` a loss of power takes up to two seconds of writes, so that a saga goes back to where it was:
 * what it did since is done again, under the same keys.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function redisSagaStore(options: RedisSagaStoreOptions): SagaStore {
  const { client, prefix } = parseOptions('redisSagaStore', optionsSchema, options);
  return new RedisSagaStore(new SagaCommands(client, prefix));
}

class RedisSagaStore implements SagaStore {
  readonly name = 'redis';
  readonly #commands: SagaCommands;
  readonly #search: SagaSearch;
  #durability = 'unknown until it is started';

  constructor(commands: SagaCommands) {
    this.#commands = commands;
    this.#search = new SagaSearch(commands);
  }

  /** Known once started: it depends on the server's settings, as they were then. */
  get durability(): string {
    return this.#durability;
  }

  async start(): Promise<void> {
    await this.#commands.run('start', 'PING');
    this.#durability = await redisDurability(this.#commands.command);
  }

  async create(saga: NewSaga, { owner, ttl }: Lease): Promise<{ created: boolean; record: SagaRecord }> {
    const row = newRow(saga);
    const { id, requests, ...columns } = row;
    const kind = JSON.stringify([row.saga, row.hash, row.definition_version]);
    const places = [id, owner, milliseconds(ttl), shapeOf(row), kind, row.status, String(row.created_at)];
    const wake = String(row.wake_at ?? '');
    const found = await this.#commands.evaluate('create', ...places, wake, ...fieldsOf(columns).fields);
    if (found === null) return { created: true, record: createdRecord(saga, row) };
    return { created: false, record: decodeRow(rowOf(found as RowAnswer)).record };
  }

  async update(record: SagaRecord): Promise<Written | undefined> {
    const { id, epoch, version, requests: seen = [] } = record;
    const change = changeOf(record);
    const { fields, empty } = fieldsOf(change);
    const fence = [id, String(epoch), String(version), String(seen.length)];
    const places = [change.status, String(change.updated_at), String(change.wake_at ?? '')];
    const count = `${fields.length}`;
    const requests = Number(
      await this.#commands.evaluate('update', ...fence, ...places, count, ...fields, ...empty),
    );
    return requests < 0 ? undefined : { requests };
  }

  async request(id: string, request: SagaRequest): Promise<RequestOutcome> {
    const body = encodeRequest(id, request);
    const most = String(sagaRequestLimit(request.type));
    const answer = await this.#commands.evaluate('request', id, request.id, body, most);
    return answer as RequestOutcome;
  }

  async claim(request: ClaimRequest, { owner, ttl }: Lease): Promise<readonly ClaimedSaga[]> {
    const shapes = [...new Set(request.definitions.map(shapeOf))];
    const words = [owner, milliseconds(ttl), String(request.limitEach), String(shapes.length), ...shapes];
    const answer = await this.#commands.evaluate('claim', ...words, ...request.holding);
    const [now, rows] = answer as readonly [string, readonly RowAnswer[]];
    const claimed = rows.map((row) => this.#judge(rowOf(row), request.maxClaims, Number(now)));
    return (await Promise.all(claimed)).filter((record) => record !== undefined);
  }

  /** Park what no worker would get further with. Until then it is claimed; should this fail, the next claim does it. */
  async #judge(claimed: SagaRow, maxClaims: number, now: number): Promise<ClaimedSaga | undefined> {
    const { row, record, parked } = judgedRow(claimed, maxClaims, now);
    if (!parked) return record;
    const places = [row.id, String(row.epoch), row.reason ?? '', row.parked_at ?? '', String(row.updated_at)];
    return (await this.#commands.evaluate('park', ...places)) === 1 ? record : undefined;
  }

  async take(id: string, { owner, ttl }: Lease): Promise<SagaRecord | undefined> {
    for (;;) {
      const row = await this.#search.find(id);
      if (row === undefined) return undefined;
      const record = decodeForRepair({ ...row, epoch: row.epoch + 1 });
      const places = [id, owner, milliseconds(ttl), String(row.epoch), String(row.version)];
      if ((await this.#commands.evaluate('take', ...places)) === 1) return record;
      const now = await this.#search.find(id);
      // Where it is as it was, somebody holds it. Otherwise it was written meanwhile, perhaps for the last time.
      if (now?.epoch === row.epoch && now.version === row.version) return undefined;
    }
  }

  async heartbeat({ owner, ttl }: Lease): Promise<boolean> {
    const { prefix } = this.#commands;
    const words = [`${prefix}lease:${owner}`, '1', 'PX', milliseconds(ttl), 'XX'];
    return (await this.#commands.run('heartbeat', 'SET', ...words)) !== null;
  }

  async release(owner: string): Promise<void> {
    await this.#commands.run('release', 'DEL', `${this.#commands.prefix}lease:${owner}`);
  }

  get(id: string): Promise<SagaRecord | undefined> {
    return this.#search.get(id);
  }

  list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    return this.#search.list(query);
  }

  census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    return this.#search.census(status);
  }

  async purge(endedBefore: number, limit: number): Promise<number> {
    return Number(await this.#commands.evaluate('purge', String(endedBefore), String(limit)));
  }

  /** The client is the user's and stays open. */
  async close(): Promise<void> {}
}

/** Redis takes whole milliseconds only. */
function milliseconds(duration: number): string {
  return String(Math.ceil(duration));
}
