import { createHash } from 'node:crypto';
import type { Duration } from '../../core/duration.ts';
import { StoreError } from '../../core/errors.ts';
import { durationOption, parseOptions, z } from '../../core/options.ts';
import {
  type BarrierMarks,
  decideBarrier,
  encodeResult,
  performed,
  refusalOf,
  setMarks,
} from '../../ports/barrier-decision.ts';
import type {
  BarrierCall,
  BarrierContext,
  BarrierOutcome,
  BarrierWork,
  SagaBarrier,
} from '../../ports/saga-barrier.ts';
import { CheckedBarrier } from '../internal/barrier-run.ts';
import { applyScript, readScript } from './barrier-script.ts';
import { commandOf, type RedisClient, redisClientOption } from './client.ts';

/** Options of {@link redisSagaBarrier}. */
export interface RedisSagaBarrierOptions {
  /** Your connected client, of `redis` (node-redis) or `ioredis`. It stays yours. */
  readonly client: RedisClient;
  /** What every key begins with. Default `holdfast:barrier:`. */
  readonly prefix?: string | undefined;
  /**
   * How long marks are kept after the last call of their step. Longer than any saga may take, its repair by a person
   * included. Default `'90d'`.
   */
  readonly retention?: Duration | undefined;
  /** How often to begin again when what the work read was changed by others meanwhile. Default 100. */
  readonly attempts?: number | undefined;
}

/** What the work of a {@link redisSagaBarrier} changes data by. */
export interface RedisTransaction {
  /**
   * Run a command that only reads, now. If its reply is not the same any more when the work is applied, the work is run
   * again from its beginning.
   */
  read(command: string, ...parameters: readonly (string | number)[]): Promise<unknown>;
  /** Apply this command when the work has succeeded, in this order, all in one script. Its reply is not to be had. */
  write(command: string, ...parameters: readonly (string | number)[]): void;
}

const optionsSchema = z.strictObject({
  client: redisClientOption(),
  prefix: z.string().default('holdfast:barrier:'),
  retention: durationOption(1).default(90 * 86_400_000),
  attempts: z.int().min(1).default(100),
});

/**
 * A barrier in Redis (5 or newer): marks and changes are applied together by one script. The work may run several times,
 * so it must have no effect but what it gives to `write`.
 *
 * Redis takes back nothing: when a command after the first fails (a key of another type, bad parameters), those before
 * it stay. Then the step is marked as broken and every further call of it fails with a `StoreError` that names the key
 * of the mark, until a person has put the data right and deleted that key. And it loses what its persistence loses:
 * with `appendfsync everysec` up to two seconds, marks and data together.
 *
 * @throws InvalidOptionsError naming the option.
 */
export function redisSagaBarrier(options: RedisSagaBarrierOptions): SagaBarrier<RedisTransaction> {
  return new RedisBarrier(parseOptions('redisSagaBarrier', optionsSchema, options));
}

type Words = readonly [string, ...string[]];

class Recorder implements RedisTransaction {
  /** Each read: the digest of its reply, and the command. */
  readonly reads: (readonly string[])[] = [];
  readonly writes: Words[] = [];
  readonly #evaluate: (...words: readonly string[]) => Promise<unknown>;

  constructor(evaluate: (...words: readonly string[]) => Promise<unknown>) {
    this.#evaluate = evaluate;
  }

  async read(command: string, ...parameters: readonly (string | number)[]): Promise<unknown> {
    const words = [command, ...parameters.map(String)];
    const [reply, digest] = (await this.#evaluate(...words)) as [unknown, string];
    this.reads.push([digest, ...words]);
    return reply;
  }

  write(command: string, ...parameters: readonly (string | number)[]): void {
    this.writes.push([command, ...parameters.map(String)]);
  }
}

interface Settings {
  readonly client: RedisClient;
  readonly prefix: string;
  readonly retention: number;
  readonly attempts: number;
}

/** What a script or the work made of a call; `changed` when it is to be decided anew. */
type Applied = BarrierOutcome | 'changed';

class RedisBarrier extends CheckedBarrier<RedisTransaction> {
  readonly name = 'redis';
  readonly #settings: Settings;
  readonly #command: ReturnType<typeof commandOf>;

  constructor(settings: Settings) {
    super();
    this.#settings = settings;
    this.#command = commandOf(settings.client);
  }

  /** There is nothing to prepare; this sees that the server answers. */
  async start(): Promise<void> {
    await this.#guard('start', () => this.#command('PING'));
  }

  protected async perform(call: BarrierCall, work: BarrierWork<RedisTransaction>): Promise<BarrierOutcome> {
    const key = `${this.#settings.prefix}${JSON.stringify([call.saga, call.step])}`;
    for (let attempt = 1; attempt <= this.#settings.attempts; attempt += 1) {
      const outcome = await this.#once(key, call, work);
      if (outcome !== 'changed') return outcome;
    }
    const why = `what it reads was changed by others ${this.#settings.attempts} times; nothing was done`;
    throw new StoreError('redis', `run the work of step ${call.step}`, new Error(why));
  }

  async #once(key: string, call: BarrierCall, work: BarrierWork<RedisTransaction>): Promise<Applied> {
    const stored = String((await this.#guard('read marks', () => this.#command('GET', key))) ?? '');
    const found = decodeMarks(key, stored);
    const decision = decideBarrier(call, found);
    const marks = setMarks(call, found);
    const nothing = new Recorder(async () => undefined);
    if (decision.type === 'perform') return this.#work(key, stored, call, marks, work, decision.context);
    const isNew = found.do !== marks.do || found.undo !== marks.undo;
    if (isNew && !(await this.#apply(key, stored, marks, nothing))) return 'changed';
    return decision.outcome;
  }

  async #work(
    key: string,
    stored: string,
    call: BarrierCall,
    marks: BarrierMarks,
    work: BarrierWork<RedisTransaction>,
    context: BarrierContext,
  ): Promise<Applied> {
    const recorder = new Recorder((...words) =>
      this.#guard('read', () => this.#evaluate(readScript, [], words)),
    );
    const mark = marks[call.operation]!;
    try {
      const result = encodeResult(call, await work(recorder, context));
      const next = { ...marks, [call.operation]: { ...mark, result } };
      return (await this.#apply(key, stored, next, recorder)) ? performed(result) : 'changed';
    } catch (error) {
      const refused = refusalOf(call, error);
      if (refused === undefined) throw error;
      // What it refused for must still be so; but of what it would have written nothing is.
      recorder.writes.length = 0;
      const next = { ...marks, do: { ...mark, refused } };
      if (!(await this.#apply(key, stored, next, recorder))) return 'changed';
      return { type: 'refused', by: 'work', reason: refused };
    }
  }

  /** Whether marks and changes were applied; false when they are to be decided anew. */
  async #apply(key: string, stored: string, marks: BarrierMarks, recorder: Recorder): Promise<boolean> {
    const { reads, writes } = recorder;
    const values = [stored, JSON.stringify(marks), String(this.#settings.retention)];
    const recorded = [JSON.stringify(reads), JSON.stringify(writes)];
    const answer = await this.#guard('apply the work', () =>
      this.#evaluate(applyScript, [key], [...values, ...recorded]),
    );
    const [what, why = ''] = (answer as readonly unknown[]).map(String);
    if (what === 'broken') decodeMarks(key, why);
    if (what === 'failed')
      throw new StoreError('redis', 'apply the work, so nothing was done', new Error(why));
    return what === 'applied';
  }

  async #evaluate(script: string, keys: readonly string[], values: readonly string[]): Promise<unknown> {
    const parameters = [String(keys.length), ...keys, ...values];
    try {
      const digest = createHash('sha1').update(script).digest('hex');
      return await this.#command('EVALSHA', digest, ...parameters);
    } catch (error) {
      // The server does not know the script yet, or not any more.
      if (!String(error).includes('NOSCRIPT')) throw error;
      return this.#command('EVAL', script, ...parameters);
    }
  }

  async #guard<T>(operation: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new StoreError('redis', operation, error);
    }
  }

  /** Redis forgets by itself, after `retention`. */
  async purge(): Promise<number> {
    return 0;
  }
}

/** @throws StoreError when the step is broken. */
function decodeMarks(key: string, stored: string): BarrierMarks {
  if (stored === '') return {};
  const marks = JSON.parse(stored) as BarrierMarks & { readonly broken?: string };
  if (marks.broken === undefined) return marks;
  const why = `${marks.broken}; what came before it was done. Put the data right, then delete the key ${key}`;
  throw new StoreError('redis', 'take back half of the work', new Error(why));
}
