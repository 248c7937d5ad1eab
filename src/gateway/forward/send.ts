/**
 * A request to an upstream with everything around it: pick an instance, try, and try again where that is safe. One
 * attempt settles at the answer's headers; after that nothing is retried and no total time limit applies, so that
 * streams may last.
 */
import { BulkheadFullError, NoInstanceError, TimeoutError, UpstreamError } from '../../core/errors.ts';
import type { CallContext, Permit, Work } from '../../core/policy.ts';
import type { Pick as ChosenInstance, PickOptions, PickOutcome } from '../../ports/resolver.ts';
import { BodyStream, isUsedUp } from '../exchange/request-body.ts';
import { unanswered, wasStale } from '../upstreams/call-failure.ts';
import type { CallListener, UpstreamCall } from '../upstreams/upstream-call.ts';
import {
  type Answer,
  FailedAnswer,
  failedAnswer,
  instancePermit,
  isRepeatable,
  maxStale,
  type Outbound,
  outcomeOf,
  type ProxyContext,
  tell,
} from './attempt.ts';
import { repeat } from './repeat.ts';
import type { Repetition } from './repeat-rules.ts';

/**
 * Send a request on; resolves at the answer's headers. Without a policy there is one attempt, and every answer is as
 * good as another. Under a policy, or where attempts may be repeated, an answer of 500 or more is a failure; when it is
 * the last word, it is the answer after all. A policy that has an answer of its own (a fallback) may give a `Response`.
 *
 * @throws whatever the policy, the registry or the connection says.
 */
export async function send(context: ProxyContext, outbound: Outbound): Promise<Answer | Response> {
  const attempts = new Attempts(context, outbound);
  if (outbound.policy === undefined && outbound.repeats === undefined) return attempts.once(1);
  try {
    const answer = await decided(context, outbound, (call) => attempts.underPolicy(call));
    attempts.settle(answer);
    if (attempts.chose(answer) || answer instanceof Response) return answer;
    throw new TypeError('the policy of a route gave neither an upstream answer nor a Response');
  } catch (error) {
    const last = error instanceof FailedAnswer && attempts.holds(error) ? error.answer : undefined;
    attempts.settle(last);
    if (last !== undefined) return last;
    throw error;
  }
}

/** What the policy makes of the attempts, and the rules for repeating them of what it gives. */
function decided(context: ProxyContext, outbound: Outbound, attempt: Work<unknown>): Promise<unknown> {
  const { policy, repeats: rules, client, target, route } = outbound;
  const { runtime, budgets, onRepeated } = context;
  if (rules === undefined) {
    return policy!.run(attempt, { signal: client.signal, deadline: client.deadline });
  }
  const repeating = {
    runtime,
    rules,
    client,
    budget: budgets.for(target.service ?? target.origin),
    repeatable: isRepeatable(outbound),
    onRepeated: (repetition: Repetition) => onRepeated(route, target.service, repetition),
  };
  return repeat(repeating, policy === undefined ? attempt : (call) => policy.run(attempt, call));
}

/** One attempt. */
interface Attempt {
  readonly attempt: number;
  readonly signal: AbortSignal | undefined;
  /** From the instance's own breaker. */
  readonly permit: Permit | undefined;
}

/** The attempts at one request. */
class Attempts {
  readonly #context: ProxyContext;
  readonly #outbound: Outbound;
  readonly #name: string;
  readonly #tried: Set<string> = new Set();
  /** The last failed answer, kept open because it may be the last word. */
  #held: FailedAnswer | undefined;
  /** Answers that came but that the policy did not choose yet; more than one when it hedges. */
  readonly #open: Set<Answer> = new Set();
  #settled = false;

  constructor(context: ProxyContext, outbound: Outbound) {
    this.#context = context;
    this.#outbound = outbound;
    this.#name = outbound.target.service ?? outbound.target.origin;
  }

  get #repeatable(): boolean {
    return isRepeatable(this.#outbound);
  }

  holds(failure: FailedAnswer): boolean {
    return this.#held === failure;
  }

  /** Whether what a policy gave back is an answer of ours. */
  chose(value: unknown): value is Answer {
    return this.#open.has(value as Answer);
  }

  /** The policy has decided: what it did not choose is let go. */
  settle(chosen: unknown): void {
    this.#settled = true;
    for (const answer of this.#open) if (answer !== chosen) answer.call.discard();
    if (this.#held?.answer !== chosen) this.#held?.answer.call.discard();
    this.#held = undefined;
  }

  async underPolicy(context: CallContext): Promise<Answer> {
    const { body } = this.#outbound;
    if (body instanceof BodyStream && body.consumed) {
      throw new UpstreamError(this.#name, 'the body was sent already and cannot be sent again');
    }
    const answer = await this.once(context.attempt, context.signal);
    if (answer.call.status >= 500) throw this.#failed(answer, context.attempt);
    // A policy that has settled meanwhile (a time limit, a hedge that was won) wants no answer any more.
    if (this.#settled) answer.call.discard();
    else this.#open.add(answer);
    return answer;
  }

  #failed(answer: Answer, attempt: number): FailedAnswer {
    const failure = failedAnswer(this.#context, this.#outbound, answer);
    this.#held?.answer.call.discard();
    this.#held = this.#settled ? undefined : failure;
    if (this.#settled) answer.call.discard();
    this.#report(attempt, answer.instance, failure, answer.call.status);
    return failure;
  }

  /** One attempt: pick, call, wait for the headers. */
  async once(attempt: number, signal?: AbortSignal): Promise<Answer> {
    const { target } = this.#outbound;
    if (target.service !== undefined) return this.#chosen(target.service, attempt, signal);
    const permit = instancePermit(this.#outbound, target.origin);
    return this.#callInstance(target.origin, undefined, { attempt, signal, permit });
  }

  /** An instance whose own breaker lets it be called; when there is no other, the breaker has the last word. */
  async #chosen(service: string, attempt: number, signal: AbortSignal | undefined): Promise<Answer> {
    const passedOver = new Set<string>();
    for (;;) {
      const pick = await this.#pick(service, signal);
      const { id, url } = pick.instance;
      this.#tried.add(id);
      let permit: Permit | undefined;
      try {
        permit = instancePermit(this.#outbound, id);
      } catch (error) {
        tell(pick, 'cancelled');
        if (passedOver.has(id)) throw error;
        passedOver.add(id);
        continue;
      }
      return this.#callInstance(url, pick, { attempt, signal, permit });
    }
  }

  #pick(service: string, signal: AbortSignal | undefined): ChosenInstance | Promise<ChosenInstance> {
    const { registry } = this.#context;
    if (registry === undefined) throw new NoInstanceError(service, 'the router has no registry');
    const { only } = this.#outbound.target as { readonly only?: PickOptions['only'] };
    const first = this.#tried.size === 0 && signal === undefined && only === undefined;
    return registry.pick(service, first ? undefined : { exclude: this.#tried, only, signal });
  }

  async #callInstance(
    origin: string,
    pick: ChosenInstance | undefined,
    { attempt, signal, permit }: Attempt,
  ): Promise<Answer> {
    const instance = pick?.instance.id ?? origin;
    try {
      const call = await this.#call(origin, pick, signal);
      if (permit !== undefined) this.#tellBreaker(permit, { call, instance });
      return { call, instance };
    } catch (error) {
      const givenUp = this.#outbound.client.gone ?? (signal?.aborted ? signal.reason : undefined);
      if (givenUp === undefined) permit?.rejected(error);
      else permit?.aborted(givenUp);
      // A time limit is a failure; that somebody left, or that another attempt was answered first, is none.
      const blamed = this.#outbound.client.gone === undefined && !isWaived(givenUp);
      if (blamed) this.#report(attempt, instance, error, undefined);
      throw error;
    }
  }

  #tellBreaker(permit: Permit, answer: Answer): void {
    if (answer.call.status < 500) permit.resolved(answer.call);
    else permit.rejected(failedAnswer(this.#context, this.#outbound, answer));
  }

  /** One call, and another one for each that met a connection which the upstream was just closing. */
  async #call(
    origin: string,
    pick: ChosenInstance | undefined,
    signal: AbortSignal | undefined,
  ): Promise<UpstreamCall> {
    for (let repeats = 0; ; repeats += 1) {
      const { gone } = this.#outbound.client;
      if (gone !== undefined) {
        if (pick !== undefined) tell(pick, this.#outcomeOfFailure(signal));
        throw gone;
      }
      const attempt = new AwaitedAnswer();
      const call = this.#begin(origin, pick, attempt);
      try {
        await this.#headersOf(call, attempt.answered, signal);
        if (pick !== undefined) call.whenEnded((ending) => tell(pick, outcomeOf(ending, call.status)));
        return call;
      } catch (error) {
        const givenUp = this.#outbound.client.gone ?? (signal?.aborted ? signal.reason : undefined);
        const mayRepeat =
          repeats < maxStale && (this.#repeatable || !call.written) && !isUsedUp(this.#outbound.body);
        if (givenUp === undefined && mayRepeat && wasStale(error as Error, call)) continue;
        if (pick !== undefined) tell(pick, this.#outcomeOfFailure(signal));
        throw givenUp ?? unanswered(error as Error, call, this.#name, this.#repeatable);
      }
    }
  }

  #begin(origin: string, pick: ChosenInstance | undefined, listener: CallListener): UpstreamCall {
    try {
      const { http2 } = this.#outbound;
      const upstream = this.#context.upstreams.get(origin, http2);
      return upstream.call(this.#outbound, listener);
    } catch (error) {
      // Our own line being full says nothing about the instance.
      if (pick !== undefined) tell(pick, error instanceof BulkheadFullError ? 'cancelled' : 'failure');
      throw error;
    }
  }

  async #headersOf(
    call: UpstreamCall,
    answered: Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const forget = this.#outbound.client.whenGone((reason) => call.abandon(reason));
    call.whenEnded(forget);
    if (signal === undefined) {
      await answered;
      return;
    }
    const onAbort = (): void => call.abandon(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    try {
      await answered;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** A time limit of the policy counts against the instance; a caller that gave up, or a hedge that lost, does not. */
  #outcomeOfFailure(signal: AbortSignal | undefined): PickOutcome {
    const givenUp: unknown = this.#outbound.client.gone ?? (signal?.aborted ? signal.reason : undefined);
    return isWaived(givenUp) ? 'cancelled' : 'failure';
  }

  #report(attempt: number, instance: string | undefined, error: unknown, status: number | undefined): void {
    const { service } = this.#outbound.target;
    this.#context.onFailed(this.#outbound.route, { attempt, service, instance, status, error });
  }
}

/** Whether a reason to give up says nothing of the upstream. */
function isWaived(reason: unknown): boolean {
  return reason !== undefined && !(reason instanceof TimeoutError);
}

/** A call's answer as a promise. */
class AwaitedAnswer implements CallListener {
  readonly answered: Promise<void>;
  onAnswer!: () => void;
  #refuse!: (error: Error) => void;

  constructor() {
    this.answered = new Promise((resolve, reject) => {
      this.onAnswer = resolve;
      this.#refuse = reject;
    });
    // Whoever awaits it may come later.
    this.answered.catch(() => {});
  }

  onNoAnswer(_call: UpstreamCall, error: Error): void {
    this.#refuse(error);
  }

  onEnd(): void {}
}
