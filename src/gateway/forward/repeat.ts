/** Making a request once more: after it failed, or beside the attempt that is not answered. */
import { abortController } from '../../core/abort-controller.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { TimeoutError, UpstreamError } from '../../core/errors.ts';
import { Call, type RetryAllowance, settle, type Work } from '../../core/policy.ts';
import type { Runtime } from '../../core/runtime.ts';
import { type Client, FailedAnswer } from './attempt.ts';
import type { RepeatRules, Repetition } from './repeat-rules.ts';

/** What making a request several times needs. */
export interface RepeatContext {
  readonly runtime: Pick<Runtime, 'clock' | 'random'>;
  readonly rules: RepeatRules;
  readonly budget: RetryAllowance;
  readonly client: Client;
  /** Whether the request may be made again although an upstream may have received it. */
  readonly repeatable: boolean;
  readonly onRepeated: (repetition: Repetition) => void;
}

/**
 * Make attempts until one gives an answer, or no other may be made. The first answer counts, and the attempts beside it
 * are given up.
 *
 * @throws what the last attempt threw; the client's reason for going away.
 */
export function repeat<T>(context: RepeatContext, attempt: Work<T>): Promise<T> {
  return new Promise((resolve, reject) => new Repeated(context, attempt, resolve, reject).begin());
}

/**
 * How long to wait before another attempt, in milliseconds; undefined when there must not be one. Pure.
 *
 * @param made how many attempts were made.
 * @param left milliseconds until the answer is not wanted any more; undefined for no limit.
 */
export function waitAfter(
  error: unknown,
  rules: RepeatRules,
  made: number,
  random: () => number,
  left: number | undefined,
): number | undefined {
  if (made >= rules.attempts || !isWorthAnother(error, rules)) return undefined;
  const asked = error instanceof FailedAnswer ? (error.retryAfter ?? 0) : 0;
  if (asked > rules.maxRetryAfter) return undefined;
  const wait = Math.max(asked, rules.backoff(made, random));
  return left !== undefined && wait >= left ? undefined : wait;
}

/** What failed in an upstream, and safely; not what was refused here, by an open breaker or for want of an instance. */
function isWorthAnother(error: unknown, { statuses }: RepeatRules): boolean {
  if (error instanceof FailedAnswer) return error.retryable && statuses.has(error.answer.call.status);
  return (error instanceof UpstreamError || error instanceof TimeoutError) && error.retryable;
}

/** One request's attempts. */
class Repeated<T> {
  readonly #context: RepeatContext;
  readonly #attempt: Work<T>;
  readonly #resolve: (answer: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #running: Set<AbortController> = new Set();
  #made = 0;
  #over = false;
  #timer: Timer | undefined;
  /** An answer that came beside an attempt that was still under way: better than none, if that one gets none. */
  #answer: FailedAnswer | undefined;
  #forget: (() => void) | undefined;

  constructor(
    context: RepeatContext,
    attempt: Work<T>,
    resolve: (answer: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#context = context;
    this.#attempt = attempt;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    this.#context.budget.deposit();
    this.#forget = this.#context.client.whenGone((reason) => this.#end(() => this.#reject(reason)));
    if (!this.#over) this.#start();
  }

  get #clock(): Clock {
    return this.#context.runtime.clock;
  }

  #start(): void {
    const { client, budget, rules, repeatable } = this.#context;
    const controller = abortController();
    this.#running.add(controller);
    this.#made += 1;
    const limit = rules.perAttempt;
    const late = (): void =>
      controller.abort(new TimeoutError(limit, { what: `attempt ${this.#made}`, retryable: repeatable }));
    const timer = limit > 0 ? this.#clock.schedule(limit, late) : undefined;
    const call = new Call(controller.signal, this.#made, client.deadline, budget);
    settle(this.#attempt, call)
      .finally(() => {
        timer?.cancel();
        this.#running.delete(controller);
      })
      .then(
        (answer) => this.#end(() => this.#resolve(answer)),
        (error) => this.#failed(error),
      );
    this.#armHedge();
  }

  /** Only what may be received twice may be under way twice. */
  #armHedge(): void {
    const { rules, repeatable } = this.#context;
    if (!repeatable || this.#made >= rules.hedged) return;
    this.#timer = this.#clock.schedule(rules.delay, () => {
      if (!this.#context.budget.withdraw()) return;
      this.#context.onRepeated({ attempt: this.#made + 1, wait: rules.delay, hedged: true });
      this.#start();
    });
  }

  #failed(error: unknown): void {
    if (this.#over) return;
    if (this.#running.size > 0) {
      if (error instanceof FailedAnswer) this.#answer = error;
      return;
    }
    this.#timer?.cancel();
    const { runtime, rules, client, budget } = this.#context;
    const left = client.deadline === undefined ? undefined : client.deadline - this.#clock.now();
    const wait = waitAfter(error, rules, this.#made, runtime.random, left);
    // The budget is asked last: what is charged is really tried again.
    if (wait === undefined || !budget.withdraw()) {
      this.#end(() => this.#reject(error instanceof FailedAnswer ? error : (this.#answer ?? error)));
      return;
    }
    this.#context.onRepeated({ attempt: this.#made + 1, wait, hedged: false });
    this.#timer = this.#clock.schedule(wait, () => this.#start());
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#forget?.();
    tell();
    const decided = new DOMException('another attempt was answered first', 'AbortError');
    for (const controller of this.#running) controller.abort(decided);
  }
}
