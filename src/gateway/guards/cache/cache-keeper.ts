/** The life of requests in a cache: found, waited for, led, renewed behind the scenes. */
import type { Transform } from 'node:stream';
import { ProblemError } from '../../../core/errors.ts';
import { debugLog } from '../../../core/log.ts';
import type { Runtime } from '../../../core/runtime.ts';
import type { AnswerHead, BodyWatcher } from '../../exchange/answer-filter.ts';
import type { Exchange } from '../../exchange/exchange.ts';
import type { HeaderList } from '../../http/headers.ts';
import { type Ask, addressIn, askOf, pairs, replaceHead, withoutAdded } from './ask.ts';
import { askAgain } from './ask-again.ts';
import { answerFrom } from './cached-answer.ts';
import { Collector, swallowing } from './collector.ts';
import { elsewhere } from './elsewhere.ts';
import { type Flight, Flights } from './flights.ts';
import { fieldMap, isForOne, type Judge, judgeFor, mergedHeaders } from './freshness.ts';
import { AnswerStore, type StoredAnswer } from './store.ts';

/** A cache's options, checked. */
export interface CacheSettings {
  readonly maxBytes: number;
  readonly maxEntryBytes: number;
  readonly key: (exchange: Exchange) => string;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly waitAtMost: number;
  readonly name: string;
  readonly runtime: Runtime;
}

const log = debugLog('cache');

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** One cache. */
export class CacheKeeper {
  readonly #settings: CacheSettings;
  readonly #store: AnswerStore;
  readonly #flights: Flights;
  readonly #renewals: Flights;
  readonly #judge: Judge;
  #hits = 0;
  #misses = 0;

  constructor(settings: CacheSettings) {
    const { clock } = settings.runtime;
    this.#settings = settings;
    this.#store = new AnswerStore(settings.maxBytes);
    this.#flights = new Flights(() => clock.now());
    this.#renewals = new Flights(() => clock.now());
    this.#judge = judgeFor(clock, {
      whileRevalidate: Math.floor(settings.staleWhileRevalidate / 1_000),
      ifError: Math.floor(settings.staleIfError / 1_000),
    });
  }

  stats(): { hits: number; misses: number; size: number; bytes: number } {
    return { hits: this.#hits, misses: this.#misses, size: this.#store.size, bytes: this.#store.bytes };
  }

  purge(which: string | ((key: string) => boolean) = () => true): number {
    const matches = (key: string): boolean =>
      typeof which === 'string' ? addressIn(key) === which : which(addressIn(key));
    this.#flights.spoil(matches);
    this.#renewals.spoil(matches);
    let purged = 0;
    for (const key of [...this.#store.keys()]) if (matches(key)) purged += this.#store.delete(key);
    return purged;
  }

  guard(exchange: Exchange): Response | undefined | Promise<Response | undefined> {
    const { method, headers, bodyLength } = exchange;
    if (!safeMethods.has(method)) {
      this.#invalidateAfter(exchange);
      return undefined;
    }
    const plain = (method === 'GET' || method === 'HEAD') && bodyLength === 0;
    if (!plain || headers.has('range') || headers.has('upgrade')) return undefined;
    return this.#serve(askOf(exchange, this.#settings.key(exchange)), true);
  }

  /** @param mayWait whether to wait for the same request that is under way. */
  #serve(ask: Ask, mayWait: boolean): Response | undefined | Promise<Response | undefined> {
    const { key, request } = ask;
    const stored = this.#store.find(key, request);
    const verdict = stored?.freshness.verdict(request) ?? 'stale';
    if (stored !== undefined && verdict !== 'stale') {
      if (verdict === 'stale, renew behind') this.#renew(ask, stored);
      return this.#respond(ask, stored);
    }
    if (/(?:^|,)\s*only-if-cached\s*(?:,|$)/i.test(request.headers['cache-control'] ?? '')) {
      throw new ProblemError(504, 'the cache does not hold this');
    }
    const flight = this.#flights.get(key);
    if (mayWait && flight !== undefined && !this.#flights.passes(key)) return this.#wait(ask, flight);
    this.#misses += 1;
    // Only what was made for GET is stored; and who leads is alone, so that whoever waits learns how it ended.
    if (request.method === 'GET' && !this.#flights.passes(key)) this.#lead(ask, stored);
    else if (request.method === 'GET' && flight === undefined) this.#lead(ask, stored);
    return undefined;
  }

  async #wait(ask: Ask, flight: Flight): Promise<Response | undefined> {
    const { clock } = this.#settings.runtime;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = clock.schedule(this.#settings.waitAtMost, () => resolve('late'));
    });
    const landing = await Promise.race([flight.landed, late]);
    timer?.cancel();
    // A leader that left had a fault of its own: one of those who waited takes its place, and the others wait for it.
    return this.#serve(ask, landing === 'broken');
  }

  #respond({ exchange, conditions, request }: Ask, stored: StoredAnswer): Response {
    this.#hits += 1;
    const given = answerFrom(stored, conditions, request.method);
    const headers = new Headers();
    for (const [name, value] of pairs(given.headers)) headers.append(name, value);
    const ttl = stored.freshness.timeToLive;
    exchange.response.append('Cache-Status', `${this.#settings.name}; hit; ttl=${ttl}`);
    return new Response(given.body, { status: given.status, headers });
  }

  /** Let the request go on; its answer is stored, and told to whoever waits. */
  #lead(ask: Ask, stored: StoredAnswer | undefined): void {
    const { exchange, key } = ask;
    const flight = this.#flights.begin(key);
    exchange.headers.delete('if-none-match');
    exchange.headers.delete('if-modified-since');
    for (const [name, value] of Object.entries(stored?.freshness.validators ?? {}))
      exchange.headers.set(name, value);
    exchange.onFinished(() => flight.land('broken'));
    exchange.filterAnswer((head) => this.#through(ask, stored, flight, head));
  }

  #through(
    ask: Ask,
    stored: StoredAnswer | undefined,
    flight: Flight,
    head: AnswerHead,
  ): Transform | BodyWatcher | undefined {
    const { exchange, request } = ask;
    const own = withoutAdded(head.headers.raw, exchange.response.list);
    const status = (why: string): void =>
      head.headers.append('Cache-Status', `${this.#settings.name}; ${why}`);
    if (stored !== undefined && head.status === 304) {
      const renewed = this.#renewed(ask, stored, own, flight);
      flight.land('stored');
      const through = this.#instead(ask, renewed, head);
      status('fwd=stale; fwd-status=304');
      return through;
    }
    if (stored !== undefined && head.status >= 500 && stored.freshness.servesErrors(request)) {
      const failed = head.status;
      flight.land('stored');
      const through = this.#instead(ask, stored, head);
      status(`fwd=stale; fwd-status=${failed}; detail=stale-if-error`);
      return through;
    }
    const fetched = this.#storable(ask, head.status, own);
    status(`fwd=${stored === undefined ? 'uri-miss' : 'stale'}${fetched === undefined ? '' : '; stored'}`);
    if (fetched === undefined) flight.land('not storable');
    return this.#fetched(ask, fetched, flight, head, own);
  }

  /** An answer of the upstream's own: it is stored on its way, or left out when the client has it already. */
  #fetched(
    ask: Ask,
    fetched: StoredAnswer | undefined,
    flight: Flight,
    head: AnswerHead,
    own: HeaderList,
  ): Transform | BodyWatcher | undefined {
    const collector =
      fetched &&
      new Collector(this.#settings.maxEntryBytes, flight, (body) =>
        this.#put(ask, { ...fetched, body }, flight),
      );
    const { freshness } = fetched ?? { freshness: this.#judge(ask.request, head.status, fieldMap(own)) };
    const whole: StoredAnswer = { status: head.status, headers: own, body: Buffer.alloc(0), freshness };
    if (head.status !== 200 || answerFrom(whole, ask.conditions, 'GET').status !== 304) return collector;
    head.status = 304;
    head.headers.delete('content-length');
    return swallowing(collector);
  }

  /** The answer, without its body yet, if it may be stored. */
  #storable({ request }: Ask, status: number, headers: HeaderList): StoredAnswer | undefined {
    const fields = fieldMap(headers);
    // A length over the limit need not be tried.
    if (isForOne(fields)) return undefined;
    if (Number(fields['content-length'] ?? 0) > this.#settings.maxEntryBytes) return undefined;
    const freshness = this.#judge(request, status, fields);
    const useful = freshness.timeToLive > 0 || Object.keys(freshness.validators).length > 0;
    if (!freshness.storable || !useful) return undefined;
    return { status, headers, body: Buffer.alloc(0), freshness };
  }

  #put({ key, request }: Ask, answer: StoredAnswer, flight: Flight): void {
    if (!flight.spoiled) this.#store.put(key, request, answer);
    flight.land(flight.spoiled ? 'broken' : 'stored');
  }

  #renewed(ask: Ask, stored: StoredAnswer, headers: HeaderList, flight: Flight): StoredAnswer {
    const fields = fieldMap(headers);
    const freshness = stored.freshness.renewed(ask.request, fields);
    if (freshness === undefined) {
      // A 304 about another answer than ours: it is all that the client can get, but no longer than this.
      this.#store.delete(ask.key);
      return stored;
    }
    const renewed = { ...stored, headers: mergedHeaders(stored.headers, headers), freshness };
    if (freshness.storable && !isForOne(fields)) {
      this.#put(ask, renewed, flight);
    } else {
      this.#store.delete(ask.key);
      flight.land('not storable');
    }
    return renewed;
  }

  #instead(ask: Ask, answer: StoredAnswer, head: AnswerHead): Transform {
    this.#hits += 1;
    const given = answerFrom(answer, ask.conditions, ask.request.method);
    replaceHead(head, given, ask.exchange.response);
    return swallowing(undefined, given.body);
  }

  /** Ask again while the client has its answer already. */
  #renew(ask: Ask, stored: StoredAnswer): void {
    const { exchange, key, request } = ask;
    if (this.#renewals.get(key) !== undefined) return;
    const flight = this.#renewals.begin(key);
    const headers = [...pairs(exchange.headers.raw)].filter(
      ([name]) => !/^if-(?:none-match|modified-since)$/i.test(name),
    );
    const asked = [...headers, ...Object.entries(stored.freshness.validators)].flat();
    const { maxEntryBytes: limit, runtime } = this.#settings;
    askAgain(exchange, { headers: asked, limit, runtime })
      .then((answer) => {
        const own = withoutAdded(answer.headers, answer.added);
        if (answer.status === 304) this.#renewed(ask, stored, own, flight);
        else if (answer.status >= 500) return;
        const fetched = this.#storable(
          { ...ask, request: { ...request, method: 'GET' } },
          answer.status,
          own,
        );
        if (fetched !== undefined) this.#put(ask, { ...fetched, body: answer.body }, flight);
        else if (answer.status !== 304) this.#store.delete(key);
      })
      .catch((error: unknown) => log('renewing %s failed: %o', key, error))
      .finally(() => flight.land('broken'));
  }

  /** What an unsafe request changed is not what is stored (RFC 9111, 4.4). */
  #invalidateAfter(exchange: Exchange): void {
    const key = this.#settings.key(exchange);
    exchange.filterAnswer(({ status, headers }) => {
      if (status < 200 || status >= 400) return;
      this.purge(key);
      for (const name of ['location', 'content-location']) {
        const other = elsewhere(exchange, headers.get(name));
        if (other !== undefined) this.purge(this.#settings.key(other));
      }
    });
  }
}
