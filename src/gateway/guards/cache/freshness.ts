/**
 * Whether an answer may be kept and given again (RFC 9111). The only file that knows `http-cache-semantics`, which
 * decides; here are its two deviations: an answer that says `must-revalidate` may be given while it is fresh, and never
 * once it is stale; and the wall time comes from a clock.
 */
import CachePolicy from 'http-cache-semantics';
import type { Clock } from '../../../core/clock.ts';
import type { HeaderList } from '../../http/headers.ts';

/** Header fields by lower-case name, several of a name joined. */
export type FieldMap = Record<string, string>;

/** A request, as far as a cache cares. */
export interface CacheRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: FieldMap;
}

/** How far a stored answer may be given to a request. */
export type Verdict = 'fresh' | 'stale, renew behind' | 'stale';

/** How long an answer may be given when it is stale, for those that do not say so themselves. Seconds. */
export interface Grace {
  readonly whileRevalidate: number;
  readonly ifError: number;
}

/** What may be done with one stored answer. Immutable. */
export interface Freshness {
  /** Whether the answer may be stored at all. */
  readonly storable: boolean;
  /** Whether it was stored for a request like this: the fields that `Vary` names are the same. */
  matches(request: CacheRequest): boolean;
  verdict(request: CacheRequest): Verdict;
  /** Whether it may be given now that it could not be renewed. */
  servesErrors(request: CacheRequest): boolean;
  /** In whole seconds. */
  readonly age: number;
  /** In whole seconds; 0 when it is stale. */
  readonly timeToLive: number;
  /** The fields by which to ask whether it has changed; empty when nothing identifies it. */
  readonly validators: FieldMap;
  /** What is true after a 304; undefined when that was about another answer. */
  renewed(request: CacheRequest, headers: FieldMap): Freshness | undefined;
}

/** Makes the {@link Freshness} of an answer. */
export type Judge = (request: CacheRequest, status: number, headers: FieldMap) => Freshness;

/** A header list as a map. */
export function fieldMap(list: HeaderList): FieldMap {
  const map: FieldMap = Object.create(null);
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index]!.toLowerCase();
    const before = map[name];
    map[name] = before === undefined ? list[index + 1]! : `${before}, ${list[index + 1]}`;
  }
  return map;
}

/** Whether an answer is for one client, whatever else it says: a cookie is, and so is what varies by everything. */
export function isForOne(fields: FieldMap): boolean {
  return fields['set-cookie'] !== undefined || fields.vary?.includes('*') === true;
}

/** Freshness for a cache that many share, by the time of this clock. */
export function judgeFor(clock: Clock, grace: Grace): Judge {
  class ClockedPolicy extends CachePolicy {
    now(): number {
      return clock.wallTime();
    }
  }
  const judge: Judge = (request, status, headers) => {
    const control = headers['cache-control'] ?? '';
    const strict = /(?:^|,)\s*(?:must-revalidate|proxy-revalidate|s-maxage\s*=|no-cache)/i.test(control);
    const asked = new ClockedPolicy(request, { status, headers }, { shared: true, cacheHeuristic: 0 });
    const softened = { ...headers, 'cache-control': strict ? softer(control) : graced(control, grace) };
    const kept = new ClockedPolicy(
      request,
      { status, headers: softened },
      { shared: true, cacheHeuristic: 0 },
    );
    return freshness(kept, { storable: asked.storable(), strict, status, headers, judge });
  };
  return judge;
}

/** Without the words that the library takes to forbid what is fresh, and what `strict` stands for from now on. */
function softer(control: string): string {
  return control
    .split(',')
    .filter(
      (directive) => !/^\s*(?:must-revalidate|proxy-revalidate|stale-[\w-]+\s*=.*)\s*$/i.test(directive),
    )
    .join(',');
}

function graced(control: string, { whileRevalidate, ifError }: Grace): string {
  const parts = control === '' ? [] : [control];
  if (whileRevalidate > 0 && !/stale-while-revalidate/i.test(control)) {
    parts.push(`stale-while-revalidate=${whileRevalidate}`);
  }
  if (ifError > 0 && !/stale-if-error/i.test(control)) parts.push(`stale-if-error=${ifError}`);
  return parts.join(', ');
}

interface Facts {
  readonly storable: boolean;
  readonly strict: boolean;
  readonly status: number;
  readonly headers: FieldMap;
  readonly judge: Judge;
}

function freshness(policy: CachePolicy, { storable, strict, status, headers, judge }: Facts): Freshness {
  const plain = ({ url, headers: asked }: CacheRequest): CacheRequest => {
    const { host = '' } = asked;
    return { method: 'GET', url, headers: withoutWishes({ ...asked, host }) };
  };
  return {
    storable,
    matches: (request) => hasSameVariant(policy, plain(request)),
    verdict(request) {
      const wishes = { ...request, method: 'GET', headers: { ...request.headers } };
      // Whoever must be asked once it is stale is asked, whatever a client would put up with.
      if (strict && policy.stale()) return 'stale';
      const { response, revalidation } = policy.evaluateRequest(wishes);
      if (response === undefined) return 'stale';
      return revalidation === undefined ? 'fresh' : 'stale, renew behind';
    },
    servesErrors: (request) =>
      !strict && policy.revalidatedPolicy(plain(request), { status: 503, headers: {} }).policy === policy,
    get age() {
      return Math.floor(policy.age());
    },
    get timeToLive() {
      return Math.max(0, Math.round(policy.maxAge() - policy.age()));
    },
    validators: validatorsOf(headers),
    renewed(request, fields) {
      if (!sameAnswer(headers, fields)) return undefined;
      return judge(request, status, renewedHeaders(headers, fields));
    },
  };
}

/** `evaluateRequest` tells nothing about variants of what is stale; asking with a stale-proof wish does. */
function hasSameVariant(policy: CachePolicy, request: CacheRequest): boolean {
  const headers = { ...request.headers, 'cache-control': 'max-stale' };
  return policy.evaluateRequest({ ...request, headers }).response !== undefined;
}

function withoutWishes(headers: FieldMap): FieldMap {
  const { 'cache-control': _control, pragma: _pragma, ...rest } = headers;
  return rest;
}

function validatorsOf(headers: FieldMap): FieldMap {
  const validators: FieldMap = {};
  if (headers.etag !== undefined) validators['if-none-match'] = headers.etag;
  else if (headers['last-modified'] !== undefined) validators['if-modified-since'] = headers['last-modified'];
  return validators;
}

/** Whether a 304 is about the answer with these fields. */
function sameAnswer(stored: FieldMap, fields: FieldMap): boolean {
  if (fields.etag === undefined || stored.etag === undefined) return true;
  return opaque(fields.etag) === opaque(stored.etag);
}

/** An entity tag without its mark of weakness, for the weak comparison (RFC 9110, 8.8.3.2). */
export function opaque(tag: string): string {
  return tag.trim().replace(/^W\//, '');
}

/** Fields that speak of the 304 itself. */
const ofTheMessage = new Set([
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'content-range',
  'connection',
]);

/** The stored fields, with those of a 304 in place of their older values (RFC 9111, 4.3.4). */
export function mergedHeaders(stored: HeaderList, fresh: HeaderList): string[] {
  const merged: string[] = [];
  const renewed = fieldMap(fresh);
  const isRenewed = (name: string): boolean => name in renewed && !ofTheMessage.has(name);
  for (let index = 0; index < stored.length; index += 2) {
    if (!isRenewed(stored[index]!.toLowerCase())) merged.push(stored[index]!, stored[index + 1]!);
  }
  for (let index = 0; index < fresh.length; index += 2) {
    if (!ofTheMessage.has(fresh[index]!.toLowerCase())) merged.push(fresh[index]!, fresh[index + 1]!);
  }
  return merged;
}

function renewedHeaders(stored: FieldMap, fields: FieldMap): FieldMap {
  const renewed = { ...stored };
  for (const [name, value] of Object.entries(fields)) if (!ofTheMessage.has(name)) renewed[name] = value;
  return renewed;
}
