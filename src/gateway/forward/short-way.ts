/**
 * The way of most requests: one call to one instance, with no policy or under one that only opens and closes. It makes
 * no promise and waits for nothing that is there already, since at tens of thousands of requests a second each of these
 * would be seen.
 */
import {
  BulkheadFullError,
  NoInstanceError,
  ProblemError,
  TimeoutError,
  type UpstreamError,
} from '../../core/errors.ts';
import type { Gate, Permit } from '../../core/policy.ts';
import type { Pick as ChosenInstance, PickOptions } from '../../ports/resolver.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { isUsedUp } from '../exchange/request-body.ts';
import { unanswered, wasStale } from '../upstreams/call-failure.ts';
import type { CallEnding, CallListener, UpstreamCall } from '../upstreams/upstream-call.ts';
import { AnswerRelay, type RelayContext, type RelayOwner } from './answer-relay.ts';
import {
  failedAnswer,
  instancePermit,
  isRepeatable,
  maxStale,
  type Outbound,
  outcomeOf,
  type ProxyContext,
  tell,
} from './attempt.ts';

/** What the short way needs of the router. */
export interface ShortWayContext extends RelayContext {
  readonly proxy: ProxyContext;
  /** Answer with what went wrong. */
  readonly refuse: (exchange: HttpExchange, error: unknown) => void;
}

/** One request on the short way. */
export class ShortWay implements CallListener, RelayOwner {
  readonly #context: ShortWayContext;
  readonly #exchange: HttpExchange;
  readonly #outbound: Outbound;
  #permit: Permit | undefined;
  #instancePermit: Permit | undefined;
  /** Instances whose breakers are open. */
  #passedOver: Set<string> | undefined;
  #pick: ChosenInstance | undefined;
  #answered = false;
  #repeats = 0;

  constructor(context: ShortWayContext, exchange: HttpExchange, outbound: Outbound) {
    this.#context = context;
    this.#exchange = exchange;
    this.#outbound = outbound;
  }

  /** Ask the gate, choose an instance, call it. Never throws. */
  begin(gate: Gate | undefined): void {
    try {
      if (gate !== undefined) this.#permit = gate.acquire();
      const { target } = this.#outbound;
      if (target.service === undefined) {
        this.#instancePermit = instancePermit(this.#outbound, target.origin);
        this.#dispatch();
      } else this.#choose(target.service, target.only);
    } catch (error) {
      this.#failed(error);
    }
  }

  #choose(service: string, only: PickOptions['only']): void {
    const { registry } = this.#context.proxy;
    if (registry === undefined) throw new NoInstanceError(service, 'the router has no registry');
    const exclude = this.#passedOver;
    const plain = only === undefined && exclude === undefined;
    const picked = registry.pick(service, plain ? undefined : { only, exclude });
    if (picked instanceof Promise) {
      picked.then(
        (pick) => this.#chosenLater(pick),
        (error) => this.#failed(error),
      );
    } else {
      this.#chosen(picked);
    }
  }

  #chosenLater(pick: ChosenInstance): void {
    try {
      const { gone } = this.#exchange;
      if (gone === undefined) {
        this.#chosen(pick);
        return;
      }
      tell(pick, 'cancelled');
      this.#failed(gone);
    } catch (error) {
      this.#failed(error);
    }
  }

  #chosen(pick: ChosenInstance): void {
    const { id } = pick.instance;
    try {
      this.#instancePermit = instancePermit(this.#outbound, id);
    } catch (error) {
      tell(pick, 'cancelled');
      this.#passOver(id, error);
      return;
    }
    this.#pick = pick;
    this.#dispatch();
  }

  /** Another instance; when there is no other, the breaker has the last word. */
  #passOver(id: string, error: unknown): void {
    this.#passedOver ??= new Set();
    const { target } = this.#outbound;
    if (this.#passedOver.has(id) || target.service === undefined) throw error;
    this.#passedOver.add(id);
    this.#choose(target.service, target.only);
  }

  #dispatch(): void {
    const { target, http2 } = this.#outbound;
    try {
      const origin = this.#pick?.instance.url ?? target.origin ?? '';
      const upstream = this.#context.proxy.upstreams.get(origin, http2);
      const call = upstream.call(this.#outbound, this);
      // It may have failed at once, and been made again.
      if (!call.ended) this.#exchange.call = call;
      if (this.#permit?.isProbe) this.#watchProbe(this.#permit, call);
      if (this.#instancePermit?.isProbe) this.#watchProbe(this.#instancePermit, call);
    } catch (error) {
      // Our own line being full says nothing about the instance.
      if (this.#pick !== undefined)
        tell(this.#pick, error instanceof BulkheadFullError ? 'cancelled' : 'failure');
      this.#report(error, undefined);
      this.#failed(error);
    }
  }

  #watchProbe({ signal }: Permit, call: UpstreamCall): void {
    const onAbort = (): void => call.abandon(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  }

  onAnswer(call: UpstreamCall): void {
    this.#answered = true;
    const instance = this.#instance;
    this.#exchange.record.instance = instance;
    if (this.#permit !== undefined || this.#instancePermit !== undefined) {
      if (call.status < 500) {
        this.#permit?.resolved(call);
        this.#instancePermit?.resolved(call);
      } else {
        this.#tellFailure(call, instance);
      }
    }
    new AnswerRelay(call, this.#exchange, this.#context, this).start();
  }

  #tellFailure(call: UpstreamCall, instance: string | undefined): void {
    const failure = failedAnswer(this.#context.proxy, this.#outbound, { call, instance });
    this.#permit?.rejected(failure);
    this.#instancePermit?.rejected(failure);
    this.#report(failure, call.status);
  }

  onNoAnswer(call: UpstreamCall, error: Error): void {
    const { gone } = this.#exchange;
    const repeatable = isRepeatable(this.#outbound);
    if (
      gone === undefined &&
      this.#repeats < maxStale &&
      (repeatable || !call.written) &&
      !isUsedUp(this.#outbound.body) &&
      wasStale(error, call)
    ) {
      this.#repeats += 1;
      this.#dispatch();
      return;
    }
    const name = this.#outbound.target.service ?? this.#outbound.target.origin;
    const failure = gone ?? unanswered(error, call, name, repeatable);
    // A time limit counts against the instance; a client that gave up, or asked for the impossible, does not.
    const blamed = gone === undefined ? !(failure instanceof ProblemError) : gone instanceof TimeoutError;
    if (this.#pick !== undefined) tell(this.#pick, blamed ? 'failure' : 'cancelled');
    if (gone === undefined) this.#report(failure, undefined);
    this.#failed(failure);
  }

  onEnd(call: UpstreamCall, ending: CallEnding): void {
    this.#exchange.call = undefined;
    if (this.#answered && this.#pick !== undefined) tell(this.#pick, outcomeOf(ending, call.status));
  }

  onUnsendable(error: UpstreamError): void {
    this.#context.refuse(this.#exchange, error);
  }

  get #instance(): string | undefined {
    return this.#pick?.instance.id ?? this.#outbound.target.origin;
  }

  #report(error: unknown, status: number | undefined): void {
    const { service } = this.#outbound.target;
    const failure = { attempt: 1, service, instance: this.#instance, status, error };
    this.#context.proxy.onFailed(this.#outbound.route, failure);
  }

  #failed(error: unknown): void {
    const { gone } = this.#exchange;
    if (gone === undefined && !(error instanceof ProblemError)) {
      this.#permit?.rejected(error);
      this.#instancePermit?.rejected(error);
    } else {
      this.#permit?.aborted(gone ?? error);
      this.#instancePermit?.aborted(gone ?? error);
    }
    this.#context.refuse(this.#exchange, error);
  }
}
