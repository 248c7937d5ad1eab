/**
 * A circuit breaker for each origin inside undici: every client on the dispatcher is behind it, the global `fetch` too.
 *
 * @module
 */
import type { Dispatcher } from 'undici';
import { parseOptions, z } from '../core/options.ts';
import {
  type OriginBreaker,
  OriginBreakers,
  type OriginBreakersOptions,
  originBreakersShape,
  type RequestOutcome,
} from './origin-breakers.ts';

export type { HttpClientSettled } from './http-channel.ts';
export {
  FailedResponse,
  type OriginBreaker,
  type OriginBreakersOptions,
  type OutcomeToken,
  type StatusVerdict,
} from './origin-breakers.ts';

/** What {@link resilientDispatch} gives: an interceptor for `compose`. */
export interface ResilientDispatch<B extends OriginBreaker> {
  (dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch;
  /** The breakers that are kept now, by origin. */
  readonly breakers: ReadonlyMap<string, B>;
}

const optionsSchema = z.strictObject(originBreakersShape);

/** The key of requests that name no origin: those of a `Client` or `Pool`, which have one only. */
const onlyOrigin = 'default';

/**
 * An interceptor for a dispatcher of undici 7, with a breaker for each origin. A request to an origin whose breaker is
 * open fails with `CircuitOpenError`. The outcome is told at the end of the body; an abort by the caller says nothing.
 * Requests that name no origin, as those of a `Client` do not need to, share the breaker of the origin `default`.
 *
 * @throws InvalidOptionsError naming each option that is wrong.
 *
 * @example
 * const breakers = resilientDispatch({ breaker: (origin, name) => new CircuitBreaker({ name }) });
 * setGlobalDispatcher(new Agent().compose(breakers));
 */
export function resilientDispatch<B extends OriginBreaker>(
  options: OriginBreakersOptions<B>,
): ResilientDispatch<B> {
  const parsed = parseOptions('resilientDispatch', optionsSchema, options);
  const origins = new OriginBreakers('undici', { ...parsed, breaker: options.breaker });
  const intercept =
    (dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch =>
    (request, handler) => {
      let outcome: RequestOutcome;
      try {
        outcome = origins.begin(originOf(request));
      } catch (error) {
        handler.onResponseError?.(refusedBy(error as Error), error as Error);
        return true;
      }
      try {
        return dispatch(request, new OutcomeHandler(handler, outcome));
      } catch (error) {
        outcome.broke(error);
        throw error;
      }
    };
  return Object.assign(intercept, { breakers: origins.breakers });
}

function originOf({ origin }: Dispatcher.DispatchOptions): string {
  if (origin === undefined) return onlyOrigin;
  return typeof origin === 'string' ? origin : origin.origin;
}

/** The controller of a request that was never made. */
function refusedBy(reason: Error): Dispatcher.DispatchController {
  return { aborted: true, paused: false, reason, abort() {}, pause() {}, resume() {} };
}

/** Passes on what undici says of one request, and listens. */
class OutcomeHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #outcome: RequestOutcome;
  #watched: WatchedController | undefined;
  #endLease: () => void = () => {};

  constructor(handler: Dispatcher.DispatchHandler, outcome: RequestOutcome) {
    this.#handler = handler;
    this.#outcome = outcome;
  }

  // undici calls it again when it sends the request on another connection.
  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#watched = new WatchedController(controller);
    this.#endLease();
    const { isProbe, signal } = this.#outcome.token;
    if (isProbe) {
      const expire = (): void => controller.abort(signal.reason);
      signal.addEventListener('abort', expire, { once: true });
      this.#endLease = () => signal.removeEventListener('abort', expire);
    }
    this.#handler.onRequestStart?.(this.#watched, context);
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, ...rest: TailOf<'onRequestUpgrade'>): void {
    this.#endLease();
    this.#outcome.ended();
    this.#handler.onRequestUpgrade?.(this.#watched ?? controller, ...rest);
  }

  onResponseStart(controller: Dispatcher.DispatchController, ...rest: TailOf<'onResponseStart'>): void {
    const [status, headers] = rest;
    // An informational response is followed by the one that counts.
    const retryAfter = headers['retry-after'];
    if (status >= 200)
      this.#outcome.answered(status, typeof retryAfter === 'string' ? retryAfter : undefined);
    this.#handler.onResponseStart?.(this.#watched ?? controller, ...rest);
  }

  onResponseData(controller: Dispatcher.DispatchController, ...rest: TailOf<'onResponseData'>): void {
    this.#handler.onResponseData?.(this.#watched ?? controller, ...rest);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, ...rest: TailOf<'onResponseEnd'>): void {
    this.#endLease();
    this.#outcome.ended();
    this.#handler.onResponseEnd?.(this.#watched ?? controller, ...rest);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#endLease();
    if (this.#watched?.wasAborted) this.#outcome.gaveUp(this.#watched.abortReason);
    else this.#outcome.broke(error);
    this.#handler.onResponseError?.(this.#watched ?? controller, error);
  }
}

/** What a handler's method is told after the controller. */
type TailOf<M extends keyof Dispatcher.DispatchHandler> =
  NonNullable<Dispatcher.DispatchHandler[M]> extends (controller: never, ...rest: infer R) => void
    ? R
    : never;

/** Notices when the caller is the one who aborts. */
class WatchedController implements Dispatcher.DispatchController {
  readonly #controller: Dispatcher.DispatchController;
  wasAborted = false;
  abortReason: unknown;

  constructor(controller: Dispatcher.DispatchController) {
    this.#controller = controller;
  }

  get aborted(): boolean {
    return this.#controller.aborted;
  }

  get paused(): boolean {
    return this.#controller.paused;
  }

  get reason(): Error | null {
    return this.#controller.reason;
  }

  get rawHeaders(): NonNullable<Dispatcher.DispatchController['rawHeaders']> | null {
    return this.#controller.rawHeaders ?? null;
  }

  get rawTrailers(): NonNullable<Dispatcher.DispatchController['rawTrailers']> | null {
    return this.#controller.rawTrailers ?? null;
  }

  abort(reason: Error): void {
    this.wasAborted = true;
    this.abortReason ??= reason;
    this.#controller.abort(reason);
  }

  pause(): void {
    this.#controller.pause();
  }

  resume(): void {
    this.#controller.resume();
  }
}
