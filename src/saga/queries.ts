/** What may be asked of all sagas in a store, checked. */
import { type Moment, wallTimeOf } from '../core/clock.ts';
import { parseOptions, z } from '../core/options.ts';
import type { SagaQuery } from '../ports/saga-store.ts';

/** Options of {@link SagaRunner.purge}. */
export interface PurgeOptions {
  /** Ended sagas that were last written before this are deleted: a `Date`, or wall time in milliseconds. */
  readonly endedBefore: Moment;
  /** At most this many. Default 1,000. */
  readonly limit?: number | undefined;
}

const purgeSchema = z.strictObject({
  endedBefore: z
    .custom<Moment>((value) => wallTimeOf(value) !== undefined, {
      error: 'a Date, or milliseconds since 1970',
    })
    .transform(Number),
  limit: z.int().min(1).max(1_000_000).default(1_000),
});

const statusOption = z.enum([
  'running',
  'waiting',
  'compensating',
  'completed',
  'compensated',
  'parked',
  'resolved',
]);

const querySchema: z.ZodType<SagaQuery> = z.strictObject({
  saga: z.string().optional(),
  status: z.union([statusOption, z.array(statusOption)]).optional(),
  definitionVersion: z.int().min(1).optional(),
  idPrefix: z.string().optional(),
  createdFrom: z.number().optional(),
  createdBefore: z.number().optional(),
  after: z.looseObject({ createdAt: z.number(), id: z.string() }).optional(),
  limit: z.int().min(1).max(100_000).optional(),
});

/** @throws InvalidOptionsError naming the field. */
export function parseQuery(owner: string, query: SagaQuery): SagaQuery {
  return parseOptions(owner, querySchema, query);
}

/** @throws InvalidOptionsError naming the field. */
export function parsePurge(options: PurgeOptions): { readonly endedBefore: number; readonly limit: number } {
  return parseOptions('SagaRunner.purge', purgeSchema, options);
}
