/** One JSON answer out of several services' answers, asked for in parallel. */

import type { Clock } from '../../core/clock.ts';
import { InvalidOptionsError, ProblemError, TimeoutError, UpstreamError } from '../../core/errors.ts';
import { type JsonValue, parseJson } from '../../core/json.ts';
import { describe } from '../../core/options.ts';
import type { Policy } from '../../core/policy.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { rawHeader } from '../http/headers.ts';
import { canonicalPath, fillTemplate } from '../http/path.ts';
import { problemOf } from '../http/problem.ts';
import type { ResolvedPart } from '../router-options.ts';
import type { UpstreamCall } from '../upstreams/upstream-call.ts';
import type { ForwardTimeouts } from '../upstreams/upstream-request.ts';
import type { Answer, Outbound } from './attempt.ts';
import { LoneClient } from './lone-client.ts';
import type { RepeatRules } from './repeat-rules.ts';

/** A part, checked. */
export interface Part {
  readonly name: string;
  readonly service: string;
  readonly path: string;
  readonly optional: boolean;
  readonly fallback: unknown;
  readonly timeout: number | undefined;
}

/**
 * Check the parts of a composed answer; `'users:/users/{sub}'` is short for service and path.
 *
 * @throws InvalidOptionsError when there is none, or one has another shape.
 */
export function compileParts(owner: string, parts: Readonly<Record<string, string | ResolvedPart>>): Part[] {
  const compiled = Object.entries(parts).map(([name, part]) => {
    const given = typeof part === 'string' ? splitPart(part) : part;
    if (given === undefined || given.path.startsWith('//')) {
      throw invalidPart(owner, `compose.${name}`, part, "'service:/path', such as 'users:/users/{sub}'");
    }
    const { service, path, timeout, fallback } = given;
    return { name, service, path, timeout, fallback, optional: given.optional ?? fallback !== undefined };
  });
  if (compiled.length === 0) throw invalidPart(owner, 'compose', parts, 'at least one part');
  return compiled;
}

function splitPart(text: string): ResolvedPart | undefined {
  const parts = /^([A-Za-z0-9][\w.-]{0,127}):(\/.*)$/.exec(text);
  return parts === null ? undefined : { service: parts[1]!, path: parts[2]! };
}

function invalidPart(owner: string, field: string, value: unknown, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError(owner, [{ field, received: describe(value), accepts }]);
}

/** What composing needs of its surroundings. */
export interface ComposeContext {
  readonly clock: Clock;
  readonly send: (outbound: Outbound) => Promise<Answer | Response>;
  readonly headers: readonly string[];
  readonly policy: Policy | undefined;
  /** When a part is asked for once more; undefined for never. */
  readonly repeats: RepeatRules | undefined;
  readonly timeouts: ForwardTimeouts;
  /** Bytes. */
  readonly maxPart: number;
}

/** Fields about the client's own body, cache and encoding, which mean nothing for a part. */
const notForParts = /^(?:content-.*|range|if-.*|accept|accept-encoding|expect|te)$/i;

/** Waits for a part: goes away with the client, when the part's time is up, or when another part made it pointless. */
class PartClient extends LoneClient {
  readonly #forget: () => void;

  constructor(exchange: HttpExchange) {
    super();
    this.#forget = exchange.whenGone((reason) => this.leave(reason));
  }

  override leave(reason: Error): void {
    this.#forget();
    super.leave(reason);
  }
}

/**
 * Ask for all parts at once. A part that is optional and fails is left out, or replaced by its fallback, and named in
 * the header `Holdfast-Partial`.
 *
 * @throws ProblemError 502, 503 or 504 when a part that is not optional fails.
 */
export async function composeAnswer(
  exchange: HttpExchange,
  parts: readonly Part[],
  context: ComposeContext,
): Promise<Response> {
  const clients = parts.map(() => new PartClient(exchange));
  const leaveAll = (): void => {
    for (const client of clients) client.leave(new Error('the answer is decided'));
  };
  const missing: string[] = [];
  const ask = async (part: Part, client: PartClient): Promise<[string, unknown] | undefined> => {
    try {
      return [part.name, await askPart(exchange, part, client, context)];
    } catch (error) {
      if (!part.optional) throw partProblem(part, error);
      missing.push(part.name);
      return part.fallback === undefined ? undefined : [part.name, part.fallback];
    }
  };
  try {
    const answers = await Promise.all(parts.map((part, index) => ask(part, clients[index]!)));
    const body = Object.fromEntries(answers.filter((answer) => answer !== undefined));
    const headers = missing.length === 0 ? {} : { 'Holdfast-Partial': missing.sort().join(', ') };
    return Response.json(body, { headers });
  } finally {
    leaveAll();
  }
}

async function askPart(
  exchange: HttpExchange,
  part: Part,
  client: PartClient,
  context: ComposeContext,
): Promise<JsonValue> {
  const { clock, timeouts, maxPart } = context;
  const limit = part.timeout ?? timeouts.firstByte;
  const timer =
    limit > 0
      ? clock.schedule(limit, () => client.leave(new TimeoutError(limit, { what: `the part ${part.name}` })))
      : undefined;
  try {
    const answer = await context.send({
      route: exchange.route,
      target: { service: part.service },
      method: 'GET',
      path: partPath(exchange, part),
      headers: partHeaders(context.headers),
      body: null,
      upgrade: undefined,
      policy: context.policy,
      repeats: context.repeats,
      timeouts,
      client,
    });
    if (answer instanceof Response) return (await answer.json()) as JsonValue;
    return await readJson(answer.call, part, maxPart);
  } finally {
    timer?.cancel();
  }
}

function partPath(exchange: HttpExchange, part: Part): string {
  const { params, principal } = exchange;
  const claims = principal?.claims ?? {};
  const filled = fillTemplate(part.path, (name) => {
    if (Object.hasOwn(params, name)) return params[name];
    return Object.hasOwn(claims, name) ? claims[name] : undefined;
  });
  const mark = filled.indexOf('?');
  if (mark === -1) return canonicalPath(filled);
  return canonicalPath(filled.slice(0, mark)) + filled.slice(mark);
}

function partHeaders(list: readonly string[]): string[] {
  const kept: string[] = ['Accept', 'application/json'];
  for (let index = 0; index < list.length; index += 2) {
    if (!notForParts.test(list[index]!)) kept.push(list[index]!, list[index + 1]!);
  }
  return kept;
}

function readJson(call: UpstreamCall, part: Part, limit: number): Promise<JsonValue> {
  const { status } = call;
  const coding = rawHeader(call.rawHeaders, 'content-encoding');
  if (status < 200 || status > 299 || (coding !== undefined && coding !== 'identity')) {
    call.discard();
    const why = coding === undefined ? `answered ${status}` : `answered in the coding ${coding}`;
    return Promise.reject(new UpstreamError(part.service, why));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    call.attach({
      data: (chunk) => {
        received += chunk.length;
        if (received > limit) call.abandon(new UpstreamError(part.service, `sent more than ${limit} bytes`));
        else chunks.push(chunk);
        return true;
      },
      end: () => {
        try {
          resolve(received === 0 ? null : parseJson(Buffer.concat(chunks).toString('utf8'), part.service));
        } catch (error) {
          reject(new UpstreamError(part.service, 'did not answer with JSON', { cause: error }));
        }
      },
      fail: reject,
    });
  });
}

function partProblem(part: Part, error: unknown): ProblemError {
  const { status, detail, headers } = problemOf(error);
  return new ProblemError(status, `${detail} (${part.name})`, { cause: error, headers });
}
