import type { SagaCount, SagaQuery, SagaRecord, SagaStatus } from '../../ports/saga-store.ts';
import { matcherOf, newestFirst, statusesOf } from '../internal/saga-query.ts';
import { decodeRow, type SagaRow } from '../internal/saga-row.ts';
import type { SagaCommands } from './saga-commands.ts';
import { type RowAnswer, rowOf } from './saga-rows.ts';

const everyStatus: readonly SagaStatus[] = [
  'running',
  'waiting',
  'compensating',
  'completed',
  'compensated',
  'parked',
  'resolved',
];

const pageSize = 200;

type Place = Pick<SagaRow, 'id' | 'created_at'>;

/** Looking and counting. */
export class SagaSearch {
  readonly #commands: SagaCommands;

  constructor(commands: SagaCommands) {
    this.#commands = commands;
  }

  async find(id: string): Promise<SagaRow | undefined> {
    return (await this.#read([id]))[0];
  }

  async get(id: string): Promise<SagaRecord | undefined> {
    const row = await this.find(id);
    return row === undefined ? undefined : decodeRow(row).record;
  }

  async #read(ids: readonly string[]): Promise<SagaRow[]> {
    const answers = (await this.#commands.evaluate('read', ...ids)) as readonly (RowAnswer | null)[];
    return answers.filter((answer) => answer !== null).map(rowOf);
  }

  /** From the index of each status, newest first; what the indices do not know is looked for in the rows. */
  async list(query: SagaQuery): Promise<readonly SagaRecord[]> {
    const { limit = 100, idPrefix = '' } = query;
    const matches = matcherOf(query);
    const found: SagaRow[] = [];
    const statuses = statusesOf(query) ?? everyStatus;
    for await (const page of this.#pages(statuses, query)) {
      const ids = page.filter(({ id }) => id.startsWith(idPrefix)).map(({ id }) => id);
      if (ids.length > 0) found.push(...(await this.#read(ids)).filter(matches));
      if (found.length >= limit) break;
    }
    return found.slice(0, limit).map((row) => decodeRow(row).record);
  }

  /** Ids of these statuses, newest first, each once. */
  async *#pages(statuses: readonly SagaStatus[], query: SagaQuery): AsyncGenerator<readonly Place[]> {
    const indices = [...new Set(statuses)].map((status) => new StatusIndex(this.#commands, status, query));
    const seen = new Set<string>();
    for (;;) {
      // Whatever one of them has not read yet is older than the last that it has read, so up to there all are complete.
      await Promise.all(indices.map((index) => index.fill()));
      const ends = indices.filter((index) => !index.done).map((index) => index.read.at(-1)!);
      const end = ends.sort(newestFirst)[0];
      const ready = indices.flatMap((index) => index.takeUpTo(end)).sort(newestFirst);
      // One that changes its status meanwhile may be in two.
      yield ready.filter(({ id }) => !seen.has(id) && seen.add(id));
      if (end === undefined) return;
    }
  }

  /** The counters are kept by every write. */
  async census(status?: SagaQuery['status']): Promise<readonly SagaCount[]> {
    const statuses = statusesOf({ status });
    const { prefix } = this.#commands;
    const script = 'HGETALL';
    const answer = await this.#commands.run('census', script, `${prefix}census`);
    const counts = entriesOf(answer).map(([name, count]) => {
      const end = name.indexOf(' ');
      const [saga, hash, definitionVersion] = JSON.parse(name.slice(end + 1)) as [string, string, number];
      return {
        saga,
        hash,
        definitionVersion,
        status: name.slice(0, end) as SagaStatus,
        count: Number(count),
      };
    });
    return counts.filter((one) => statuses?.includes(one.status) ?? true);
  }
}

/** The ids of one status, read page by page, newest first. */
class StatusIndex {
  /** What is read and not given out yet. */
  read: Place[] = [];
  /** Whether there is nothing more to read. */
  done = false;
  readonly #page: (offset: number) => Promise<unknown>;
  #offset = 0;

  constructor(commands: SagaCommands, status: SagaStatus, { createdFrom, createdBefore, after }: SagaQuery) {
    const before = createdBefore === undefined ? '+inf' : `(${createdBefore}`;
    const isInside = after !== undefined && after.createdAt < (createdBefore ?? Number.POSITIVE_INFINITY);
    const max = isInside ? String(after.createdAt) : before;
    const range = [`${commands.prefix}status:${status}`, max, String(createdFrom ?? '-inf'), 'WITHSCORES'];
    this.#page = (offset) =>
      commands.run('list', 'ZREVRANGEBYSCORE', ...range, 'LIMIT', String(offset), String(pageSize));
  }

  /** Read on, when nothing is left. */
  async fill(): Promise<void> {
    if (this.done || this.read.length > 0) return;
    const places = entriesOf(await this.#page(this.#offset));
    this.#offset += places.length;
    this.done = places.length < pageSize;
    this.read = places.map(([id, score]) => ({ id, created_at: Number(score) })).sort(newestFirst);
  }

  /** Give out what is not older than this. */
  takeUpTo(end: Place | undefined): readonly Place[] {
    const isReady = (place: Place): boolean => end === undefined || newestFirst(place, end) <= 0;
    const ready = this.read.filter(isReady);
    this.read = this.read.filter((place) => !isReady(place));
    return ready;
  }
}

/** Pairs, from a flat list of names and values or, with the newer protocol, from pairs or a map. */
function entriesOf(answer: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(answer)) return Object.entries((answer ?? {}) as Record<string, string>);
  if (Array.isArray(answer[0]))
    return (answer as [unknown, unknown][]).map(([a, b]) => [String(a), String(b)]);
  const flat = answer as readonly string[];
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index]!, flat[2 * index + 1]!]);
}
