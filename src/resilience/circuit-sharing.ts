import { Emitter, type Unsubscribe } from '../core/emitter.ts';
import { Lifecycle } from '../core/lifecycle.ts';
import { methodsOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime } from '../core/runtime.ts';
import type { CircuitNotice, CircuitStore } from '../ports/circuit-store.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { CircuitBreakers } from './circuit-breakers.ts';

/** Options of `CircuitSharing`. */
export interface CircuitSharingOptions {
  /** What carries the notices between siblings. It is not closed with this. */
  readonly store: CircuitStore;
  /**
   * What a breaker does when a sibling of its name has opened: `open` too, for what is left of the sibling's wait; or
   * `lower` its thresholds for that time, so that a few failures of its own suffice. Default `open`.
   */
  readonly reaction?: 'open' | 'lower' | undefined;
  /** What thresholds are multiplied by when they are lowered; in (0, 1). Default 0.5. */
  readonly factor?: number | undefined;
  /** Wall clock, ids and telemetry. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A breaker reacted to a sibling's opening. */
export interface SiblingHeeded {
  readonly breaker: string;
  /** The sibling. */
  readonly origin: string;
  readonly reaction: 'open' | 'lower';
  /** For how many milliseconds. */
  readonly duration: number;
}

/** Siblings could not be told; the breaker itself goes on as ever. */
export interface TellingFailed {
  readonly breaker: string;
  readonly error: unknown;
}

/** Events of `CircuitSharing`. */
export interface CircuitSharingEvents {
  readonly heeded: SiblingHeeded;
  readonly tellingFailed: TellingFailed;
}

const schema = z.strictObject({
  store: methodsOption<CircuitStore>('a CircuitStore', 'publish', 'watch', 'close'),
  reaction: z.enum(['open', 'lower']).default('open'),
  factor: z.number().gt(0).lt(1).default(0.5),
  runtime: runtimeOption(),
});

interface Member {
  readonly breaker: CircuitBreaker;
  readonly offs: readonly Unsubscribe[];
  /** Whether siblings were told that it is open. */
  told: boolean;
  /** The sibling that it reacted to last. */
  heeded: string | undefined;
}

/**
 * Breakers of the same name in several processes learn of each other's openings, outside of any call: an opening is
 * told when it happens, and what a sibling tells is acted on when it comes. A store that is down changes nothing.
 *
 * Only what a breaker found out itself is told, so that no rumour goes round. Each probes for itself.
 *
 * @example
 * const sharing = await new CircuitSharing({ store: redisCircuitStore({ client }) }).add(breaker).start();
 */
export class CircuitSharing {
  readonly #store: CircuitStore;
  readonly #reaction: 'open' | 'lower';
  readonly #factor: number;
  readonly #runtime: Runtime;
  readonly #origin: string;
  readonly #emitter: Emitter<CircuitSharingEvents>;
  readonly #lifecycle: Lifecycle = new Lifecycle('CircuitSharing');
  readonly #members: Map<string, Member> = new Map();
  /** The newest open notice of each breaker, for members that come later. */
  readonly #open: Map<string, CircuitNotice> = new Map();
  readonly #groups: Unsubscribe[] = [];
  #unwatch: Unsubscribe | undefined;

  /** @throws InvalidOptionsError naming each option that is wrong. */
  constructor(options: CircuitSharingOptions) {
    const { store, reaction, factor, runtime } = parseOptions('CircuitSharing', schema, options);
    this.#store = store;
    this.#reaction = reaction;
    this.#factor = factor;
    this.#runtime = resolveRuntime(runtime);
    this.#origin = this.#runtime.id();
    this.#emitter = new Emitter('circuit-sharing', store.name, this.#runtime.telemetry);
  }

  /** Share the openings of this breaker, or of all keyed breakers, those to come included. Returns itself. */
  add(breakers: CircuitBreaker | CircuitBreakers): this {
    if (!('peek' in breakers)) {
      this.#join(breakers);
      return this;
    }
    for (const [, breaker] of breakers) this.#join(breaker);
    this.#groups.push(
      breakers.on('created', ({ breaker }) => this.#join(breaker)),
      breakers.on('evicted', ({ breaker }) => this.#leave(breaker.name)),
    );
    return this;
  }

  /**
   * Begin to tell and to listen. Returns itself.
   *
   * @throws NotRunningError once it was stopped.
   */
  async start(): Promise<this> {
    await this.#lifecycle.start(async () => {
      this.#unwatch = this.#store.watch((notice) => this.#hear(notice));
    });
    return this;
  }

  /** Stop telling and listening; the breakers stay as they are. Idempotent. */
  stop(): Promise<void> {
    return this.#lifecycle.stop(async () => {
      this.#unwatch?.();
      for (const off of this.#groups) off();
      for (const name of [...this.#members.keys()]) this.#leave(name);
    });
  }

  /** The same as {@link stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Listen to what happens; returns how to stop listening. */
  on<K extends keyof CircuitSharingEvents & string>(
    event: K,
    listener: (payload: CircuitSharingEvents[K]) => void,
  ): Unsubscribe {
    return this.#emitter.on(event, listener);
  }

  #join(breaker: CircuitBreaker): void {
    const { name } = breaker;
    this.#leave(name);
    const offs = [
      breaker.on('opened', ({ reason, wait }) => {
        if (reason !== 'shared') void this.#tell(member, 'open', reason, wait);
      }),
      breaker.on('closed', ({ reason }) => {
        if (member.told) void this.#tell(member, 'closed', reason, 0);
      }),
    ];
    const member: Member = { breaker, offs, told: false, heeded: undefined };
    this.#members.set(name, member);
    const known = this.#open.get(name);
    if (known !== undefined) this.#heed(member, known);
  }

  #leave(name: string): void {
    for (const off of this.#members.get(name)?.offs ?? []) off();
    this.#members.delete(name);
  }

  async #tell(member: Member, state: CircuitNotice['state'], reason: string, wait: number): Promise<void> {
    if (this.#lifecycle.state !== 'running') return;
    const { name } = member.breaker;
    member.told = state === 'open';
    const until = this.#runtime.clock.wallTime() + wait;
    try {
      await this.#store.publish({ breaker: name, origin: this.#origin, state, until, wait, reason });
    } catch (error) {
      this.#emitter.emit('tellingFailed', { breaker: name, error });
    }
  }

  #hear(notice: CircuitNotice): void {
    if (notice.origin === this.#origin) return;
    const known = this.#open.get(notice.breaker);
    const isSame = known?.origin === notice.origin;
    if (notice.state === 'closed') {
      if (isSame) this.#open.delete(notice.breaker);
      this.#relax(notice);
      return;
    }
    // A store may repeat itself, and a breaker that was reset by hand must not be opened by an old story.
    if (isSame && known.until === notice.until) return;
    this.#forgetOld();
    this.#open.set(notice.breaker, notice);
    const member = this.#members.get(notice.breaker);
    if (member !== undefined) this.#heed(member, notice);
  }

  #heed(member: Member, { origin, until, wait }: CircuitNotice): void {
    const duration = Math.min(wait, until - this.#runtime.clock.wallTime());
    if (!(duration > 0)) return;
    const { breaker } = member;
    if (breaker.state !== 'closed' && breaker.state !== 'half-open') return;
    member.heeded = origin;
    if (this.#reaction === 'open') breaker.trip(undefined, { openFor: duration, reason: 'shared' });
    else breaker.lowerThresholds(this.#factor, duration);
    this.#emitter.emit('heeded', { breaker: breaker.name, origin, reaction: this.#reaction, duration });
  }

  /** The sibling found the dependency well: find out at once, rather than at the end of its wait. */
  #relax({ breaker, origin }: CircuitNotice): void {
    const member = this.#members.get(breaker);
    if (member === undefined || member.heeded !== origin) return;
    member.heeded = undefined;
    if (this.#reaction === 'lower') member.breaker.lowerThresholds(1, 0);
    else if (!member.told) member.breaker.endWait();
  }

  #forgetOld(): void {
    const now = this.#runtime.clock.wallTime();
    for (const [name, { until }] of this.#open) if (until <= now) this.#open.delete(name);
  }
}
