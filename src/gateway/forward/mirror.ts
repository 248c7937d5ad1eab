/**
 * Copies of requests for a second upstream. A copy goes over connections of its own, within limits of its own, and its
 * answer is thrown away: whatever becomes of it, the request itself is served as if there were none.
 */
import { Readable } from 'node:stream';
import { BulkheadFullError, TimeoutError } from '../../core/errors.ts';
import { durationOption, nameOption, z } from '../../core/options.ts';
import { replayableBytes } from '../exchange/request-body.ts';
import type { Target } from '../exchange/target.ts';
import type { RequestMirrored } from '../router-events.ts';
import type { MirrorOptions } from '../routes/route-types.ts';
import { subsetSchema, targetOf } from '../routes/split.ts';
import type { Outbound, ProxyContext } from './attempt.ts';
import { LoneClient } from './lone-client.ts';
import { send } from './send.ts';

/** The option `mirror`, checked. */
export interface ResolvedMirror extends Omit<MirrorOptions, 'timeout'> {
  readonly share: number;
  readonly concurrency: number;
  /** Milliseconds. */
  readonly timeout: number;
}

const mirrorObject: z.ZodType<ResolvedMirror> = z.strictObject({
  service: nameOption().optional(),
  url: z.string().optional(),
  subset: subsetSchema.optional(),
  share: z.number().min(0).max(1).default(1),
  concurrency: z.int().min(1).default(100),
  timeout: durationOption(1).default(5_000),
});

/** The option `mirror`. */
export const mirrorSchema: z.ZodType<ResolvedMirror> = mirrorObject;

/** What sending copies needs of the router. */
export interface MirrorContext extends ProxyContext {
  readonly onMirrored: (outcome: RequestMirrored) => void;
}

/** Copies the requests of one route. */
export class Mirror {
  readonly target: Target;
  readonly #share: number;
  readonly #concurrency: number;
  readonly #timeout: number;
  #active = 0;

  /** @throws InvalidOptionsError unless there is exactly one of `service` and `url`. */
  constructor(options: ResolvedMirror) {
    this.target = targetOf('mirror', options);
    this.#share = options.share;
    this.#concurrency = options.concurrency;
    this.#timeout = options.timeout;
  }

  /** The part of the requests that is copied, from 0 to 1. */
  get share(): number {
    return this.#share;
  }

  /** Copy a request, if it is one to be copied. Returns at once, and never throws. */
  copy(context: MirrorContext, outbound: Outbound): void {
    // What streams cannot be sent twice, and what is switched to another protocol is no request any more.
    const { body, upgrade } = outbound;
    if (body instanceof Readable || upgrade !== undefined) return;
    if (body !== null && body.length > replayableBytes) return;
    if (this.#share < 1 && context.runtime.random() >= this.#share) return;
    void this.#send(context, outbound);
  }

  async #send(context: MirrorContext, outbound: Outbound): Promise<void> {
    const { route } = outbound;
    const { service } = this.target;
    const client = new LoneClient();
    const late = new TimeoutError(this.#timeout, { what: `the copy for ${service ?? this.target.origin}` });
    const timer = context.runtime.clock.schedule(this.#timeout, () => client.leave(late));
    let instance: string | undefined;
    let status: number | undefined;
    let failure: unknown;
    this.#active += 1;
    try {
      if (this.#active > this.#concurrency) throw new BulkheadFullError('mirror', this.#concurrency, 0);
      const answer = await send(context, this.#copyOf(outbound, client));
      // There is no policy that could have given another answer.
      if (answer instanceof Response) return;
      instance = answer.instance;
      status = answer.call.status;
      answer.call.discard();
      await new Promise<void>((resolve) => answer.call.whenEnded(() => resolve()));
    } catch (error) {
      failure = error;
    } finally {
      this.#active -= 1;
      timer.cancel();
      context.onMirrored({ route, service, instance, status, error: failure });
    }
  }

  #copyOf(outbound: Outbound, client: LoneClient): Outbound {
    return {
      ...outbound,
      target: this.target,
      headers: [...outbound.headers, 'Holdfast-Mirror', '1'],
      policy: undefined,
      repeats: undefined,
      interimTo: undefined,
      client,
    };
  }
}
