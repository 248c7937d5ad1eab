import type { Duration } from '../core/duration.ts';
import type { Unsubscribe } from '../core/emitter.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { warnOf } from '../core/log.ts';
import { durationOption, functionOption, parseOptions, z } from '../core/options.ts';

/** Options of {@link stopOnSignals}. */
export interface StopOnSignalsOptions {
  /** Default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[] | undefined;
  /** How long to go on accepting connections while `/readyz` says no already. Default none. */
  readonly grace?: Duration | undefined;
  /** How long exchanges under way may then take to end. Default 10 seconds. */
  readonly timeout?: Duration | undefined;
  /** Called when the router has stopped: to stop what it stood on, such as a registry. */
  readonly afterwards?: (() => unknown) | undefined;
}

/** What is stopped. */
export interface Stoppable {
  /**
   * Stop, and resolve when that is done.
   *
   * @param options in milliseconds
   */
  stop(options: { readonly grace: number; readonly timeout: number }): Promise<unknown>;
}

const optionsSchema = z.strictObject({
  afterwards: functionOption<() => unknown>().optional(),
  signals: z
    .array(
      z.custom<NodeJS.Signals>((value) => /^SIG[A-Z0-9]+$/.test(String(value)), {
        error: "signals such as 'SIGTERM'",
      }),
    )
    .min(1)
    .default(['SIGTERM', 'SIGINT']),
  grace: durationOption().default(0),
  timeout: durationOption().default(10_000),
});

/**
 * Stop a router when the process is asked to end. The first signal stops it, after which the process ends by itself
 * when nothing else holds it; a second one ends the process at once, as if nobody had listened for it.
 *
 * @example
 * stopOnSignals(router, { grace: '5s', afterwards: () => registry.stop() });
 *
 * @returns how to take it back.
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function stopOnSignals(router: Stoppable, options: StopOnSignalsOptions = {}): Unsubscribe {
  const { signals, grace, timeout, afterwards } = parseOptions('stopOnSignals', optionsSchema, options);
  let asked = false;
  const forget = (): void => {
    for (const signal of signals) process.off(signal, hear);
  };
  const hear = (signal: NodeJS.Signals): void => {
    if (asked) {
      forget();
      process.kill(process.pid, signal);
      return;
    }
    asked = true;
    void stop();
  };
  const stop = async (): Promise<void> => {
    try {
      await router.stop({ grace, timeout });
      await afterwards?.();
    } catch (error) {
      warnOf(`stopping at a signal failed: ${messageOf(error)}`, error);
      process.exitCode = 1;
    } finally {
      forget();
    }
  };
  for (const signal of signals) process.on(signal, hear);
  return forget;
}
