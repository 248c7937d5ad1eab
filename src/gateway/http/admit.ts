/**
 * What a request must be before anything looks at it. Node's parser lets several forms through that two servers read
 * differently; every one of them is refused here, with the connection closed after the answer.
 */
import type { BlockList } from 'node:net';
import { parseDuration } from '../../core/duration.ts';
import { ProblemError } from '../../core/errors.ts';
import { clientBehind, includesAddress, plainAddress } from './addresses.ts';
import type { HeaderName } from './header-names.ts';
import { endsHere, type RequestHeaders, requestConnectionOptions } from './headers.ts';
import { canonicalPath, type PathRules } from './path.ts';
import { remember } from './remember.ts';
import { isHttpVersion } from './via.ts';

/** A request's head as it came in. */
export interface IncomingHead {
  readonly method: string;
  /** The request target, in origin form or absolute form. */
  readonly target: string;
  /** The version of HTTP by which it came, such as `1.1`. */
  readonly version: string;
  readonly headers: RequestHeaders;
  /** Address of who is connected. */
  readonly peer: string;
  /** Whether it came over TLS. */
  readonly secure: boolean;
}

/** What the router lets in. */
export interface AdmissionRules {
  readonly paths: PathRules;
  readonly maxHeaders: number;
  /** Bytes; undefined for no limit. */
  readonly maxBody: number | undefined;
  readonly trustedProxies: BlockList | undefined;
  /** Names in lower case. */
  readonly identityHeaders: readonly string[];
  /** How this router names itself in `Via`. */
  readonly pseudonym: string;
}

/** What was learnt of an admitted request. */
export interface Admission {
  /** Host and port as asked for; empty when an HTTP/1.0 request has none. */
  readonly authority: string;
  /** Host in lower case, without port. */
  readonly host: string;
  readonly scheme: 'http' | 'https';
  readonly path: string;
  /** Without `?`. */
  readonly query: string;
  readonly clientAddress: string;
  readonly peerAddress: string;
  /** Whether the peer is a proxy whose word counts. */
  readonly trusted: boolean;
  /** Bytes; undefined when it is chunked. */
  readonly bodyLength: number | undefined;
  /** The most bytes of the body; undefined for no limit. */
  readonly bodyLimit: number | undefined;
  /** Milliseconds that a trusted proxy leaves for the answer; undefined when none says so. */
  readonly timeout: number | undefined;
}

const authorityShape = /^([\w.~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

interface Fields {
  host: string | undefined;
  connection: string;
  coding: string | undefined;
  length: string | undefined;
  expect: string | undefined;
  via: string;
  readonly forwarded: string[];
}

/**
 * Check a request and take from it what decides where it goes. Removes from its headers what its sender may not say.
 *
 * @throws ProblemError with the status to answer.
 */
export function admit(head: IncomingHead, rules: AdmissionRules): Admission {
  if (!isHttpVersion(head.version)) {
    throw new ProblemError(505, 'only HTTP/1.1 and HTTP/1.0 are spoken here');
  }
  const { headers } = head;
  if (headers.kinds.length > rules.maxHeaders) {
    throw new ProblemError(431, `the request has more than ${rules.maxHeaders} header fields`);
  }
  const fields = readFields(headers);
  const bodyLength = bodyLengthOf(head, fields, rules.maxBody);
  if (fields.expect !== undefined && fields.expect.toLowerCase() !== '100-continue') {
    throw new ProblemError(417, 'the only expectation that can be met is 100-continue');
  }
  if (fields.via !== '' && namesItself(fields.via, rules.pseudonym)) {
    throw new ProblemError(508, 'the request came through this router before');
  }
  const peerAddress = plainAddress(head.peer);
  const trusted = rules.trustedProxies !== undefined && includesAddress(rules.trustedProxies, peerAddress);
  const { authority, host, path, query } = destination(head, fields.host, rules.paths);
  clean(headers, fields, trusted, rules);
  return {
    authority,
    host,
    scheme: schemeOf(head, trusted),
    path,
    query,
    clientAddress: clientOf(peerAddress, trusted ? headers : undefined, rules.trustedProxies),
    peerAddress,
    trusted,
    bodyLength,
    bodyLimit: rules.maxBody,
    timeout: trusted && fields.forwarded.length > 0 ? timeoutOf(headers) : undefined,
  };
}

/** @throws ProblemError 400 when the field says nothing that can be kept to. */
function timeoutOf(headers: RequestHeaders): number | undefined {
  const told = headers.get('x-request-timeout');
  if (told === undefined) return undefined;
  const timeout = parseDuration(/^\d{1,9}$/.test(told) ? Number(told) : told);
  if (timeout !== undefined) return timeout;
  throw new ProblemError(400, "the header X-Request-Timeout is neither milliseconds nor a time such as '2s'");
}

function readFields(headers: RequestHeaders): Fields {
  const fields: Fields = {
    host: undefined,
    connection: '',
    coding: undefined,
    length: undefined,
    expect: undefined,
    via: '',
    forwarded: [],
  };
  const { kinds, raw } = headers;
  for (let index = 0; index < kinds.length; index += 1) readField(fields, kinds[index]!, raw[index * 2 + 1]!);
  return fields;
}

function readField(fields: Fields, name: HeaderName, value: string): void {
  switch (name.lower) {
    case 'host':
      if (fields.host !== undefined) throw new ProblemError(400, 'the request has more than one Host');
      fields.host = value;
      return;
    case 'connection':
      fields.connection = fields.connection === '' ? value : `${fields.connection},${value}`;
      return;
    case 'transfer-encoding':
      fields.coding = fields.coding === undefined ? value : `${fields.coding},${value}`;
      return;
    case 'content-length':
      if (fields.length !== undefined) throw new ProblemError(400, 'the request has more than one length');
      fields.length = value;
      return;
    case 'transfer_encoding':
    case 'content_length':
      // Some servers take these for the real ones.
      throw new ProblemError(400, `the request has a header ${JSON.stringify(name.lower)}`);
    case 'expect':
      fields.expect = value;
      return;
    case 'via':
      fields.via = fields.via === '' ? value : `${fields.via},${value}`;
      return;
    default:
      if (name.forwarded) fields.forwarded.push(name.lower);
  }
}

function bodyLengthOf(head: IncomingHead, fields: Fields, limit: number | undefined): number | undefined {
  if (fields.coding !== undefined) {
    if (head.version === '1.0') throw new ProblemError(400, 'HTTP/1.0 has no Transfer-Encoding');
    if (fields.length !== undefined) throw new ProblemError(400, 'the request has two kinds of length');
    if (fields.coding.trim().toLowerCase() !== 'chunked') {
      throw new ProblemError(400, 'the only transfer coding that is understood is chunked');
    }
    return undefined;
  }
  if (fields.length === undefined) return 0;
  if (!/^\d{1,15}$/.test(fields.length)) throw new ProblemError(400, 'the Content-Length is not a number');
  const length = Number(fields.length);
  if (limit !== undefined && length > limit) {
    throw new ProblemError(413, `the request's body is longer than ${limit} bytes`);
  }
  return length;
}

function namesItself(via: string, pseudonym: string): boolean {
  return via.split(',').some((hop) => hop.trim().split(/\s+/)[1] === pseudonym);
}

function destination(
  head: IncomingHead,
  hostField: string | undefined,
  rules: PathRules,
): Pick<Admission, 'authority' | 'host' | 'path' | 'query'> {
  let authority = hostField ?? '';
  let { target } = head;
  // Absolute form, as clients of an HTTP proxy send it: its authority takes the place of Host (RFC 9112, 3.2.2).
  const absolute = target.charCodeAt(0) === 47 ? null : /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
  if (absolute !== null) {
    authority = absolute[1]!;
    target = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]}`;
  }
  const host = hostOf(authority);
  if (host === undefined && (authority !== '' || head.version !== '1.0')) {
    throw new ProblemError(400, 'the request has no Host, or not an acceptable one');
  }
  const mark = target.indexOf('?');
  const query = mark === -1 ? '' : target.slice(mark + 1);
  if (query.includes('#')) throw new ProblemError(400, 'the request target has a fragment');
  const path = canonicalPath(mark === -1 ? target : target.slice(0, mark), rules);
  return { authority, host: host ?? '', path, query };
}

/** Hosts by the authority that names them: there are few, and each request names one. */
const hosts: Map<string, string> = new Map();

/** The host of an authority, in lower case and without a dot at its end; undefined when it is none. */
function hostOf(authority: string): string | undefined {
  const known = hosts.get(authority);
  if (known !== undefined) return known;
  const host = authorityShape.exec(authority)?.[1]?.toLowerCase();
  if (host === undefined) return undefined;
  const bare = host.endsWith('.') ? host.slice(0, -1) : host;
  remember(hosts, 1_024, authority, bare);
  return bare;
}

function schemeOf(head: IncomingHead, trusted: boolean): 'http' | 'https' {
  const told = trusted ? head.headers.get('x-forwarded-proto')?.toLowerCase() : undefined;
  if (told === 'http' || told === 'https') return told;
  return head.secure ? 'https' : 'http';
}

function clientOf(peer: string, headers: RequestHeaders | undefined, trusted: BlockList | undefined): string {
  const told = headers?.get('x-forwarded-for');
  return told === undefined || trusted === undefined ? peer : clientBehind(peer, told, trusted);
}

/**
 * Take out what only a trusted proxy or a guard of ours may say, and what `Connection` names: now, before guards add
 * fields, since a client that names one of theirs must not make it disappear (CVE-2026-33805). What ends at every hop,
 * named or not, is left out when the request goes on; `Upgrade` is still looked at.
 */
function clean(headers: RequestHeaders, fields: Fields, trusted: boolean, rules: AdmissionRules): void {
  const named = requestConnectionOptions(fields.connection);
  if (named.size > 0) for (const name of named) if (!endsHere(name)) headers.delete(name);
  if (!trusted) for (const name of fields.forwarded) headers.delete(name);
  for (const name of rules.identityHeaders) headers.delete(name);
}
