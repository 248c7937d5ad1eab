import { sleep } from '../../core/clock.ts';
import type { Duration } from '../../core/duration.ts';
import { ProblemError } from '../../core/errors.ts';
import { durationOption, functionOption, parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { Exchange, Guard } from '../exchange/exchange.ts';
import { HttpExchange } from '../exchange/http-exchange.ts';

/** Options of {@link injectFaults}. */
export interface FaultOptions {
  /** Whether anything is done at all; a function is asked each time. Default false. */
  readonly enabled?: boolean | (() => boolean) | undefined;
  /** Which exchanges may be hit. Default: all. */
  readonly when?: ((exchange: Exchange) => boolean) | undefined;
  /** Keep requests waiting. */
  readonly delay?: FaultDelay | undefined;
  /** Refuse requests, or break off their connections. Comes after the delay. */
  readonly abort?: FaultAbort | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Which requests are kept waiting, and for how long. */
export interface FaultDelay {
  /** How long; of two, evenly distributed between them. */
  readonly duration: Duration | readonly [Duration, Duration];
  /** Of a hundred requests, how many. */
  readonly percentage: number;
}

/** Which requests are refused, and how. */
export interface FaultAbort {
  /** The status to answer, 400 to 599, or `reset` to close the connection without an answer. Default 503. */
  readonly status?: number | 'reset' | undefined;
  /** Of a hundred requests, how many. */
  readonly percentage: number;
}

const percentage = z.number().min(0).max(100);

const optionsSchema = z.strictObject({
  enabled: z.union([z.boolean(), functionOption<() => boolean>()]).default(false),
  when: functionOption<(exchange: Exchange) => boolean>().default(() => () => true),
  delay: z
    .strictObject({
      duration: z.union([
        durationOption(),
        z.tuple([durationOption(), durationOption()]).refine(([least, most]) => least <= most, {
          error: 'two durations, the shorter one first',
        }),
      ]),
      percentage,
    })
    .optional(),
  abort: z
    .strictObject({
      status: z.union([z.int().min(400).max(599), z.literal('reset')]).default(503),
      percentage,
    })
    .optional(),
  runtime: runtimeOption(),
});

/**
 * A guard that does harm on purpose, so that you see how callers bear it: it delays requests, refuses them, or breaks
 * off their connections, a chosen percentage of each. Does nothing unless it is `enabled`.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function injectFaults(options: FaultOptions): Guard {
  const { enabled, when, delay, abort, runtime } = parseOptions('injectFaults', optionsSchema, options);
  const { clock, random } = resolveRuntime(runtime);
  const hit = (fault: { readonly percentage: number } | undefined): boolean =>
    fault !== undefined && random() * 100 < fault.percentage;
  return (exchange) => {
    if (!(typeof enabled === 'function' ? enabled() : enabled) || !when(exchange)) return undefined;
    const wait = delay !== undefined && hit(delay) ? between(delay.duration, random) : undefined;
    const refusal = abort !== undefined && hit(abort) ? abort.status : undefined;
    if (wait === undefined) return refusal === undefined ? undefined : refuse(exchange, refusal);
    return sleep(clock, wait, exchange.signal).then(() =>
      refusal === undefined ? undefined : refuse(exchange, refusal),
    );
  };
}

function between(duration: number | readonly [number, number], random: () => number): number {
  if (typeof duration === 'number') return duration;
  const [least, most] = duration;
  return least + random() * (most - least);
}

/** @throws ProblemError with the status, unless the connection is to be reset. */
function refuse(exchange: Exchange, status: number | 'reset'): undefined | Promise<never> {
  if (status !== 'reset') throw new ProblemError(status, 'a fault was injected');
  const over = new Promise<never>((_resolve, reject) => {
    exchange.onFinished(() => reject(new ProblemError(503, 'a fault was injected')));
  });
  if (exchange instanceof HttpExchange) exchange.door.destroy();
  return over;
}
