import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { UpstreamError } from '../../core/errors.ts';
import type { BareConnection } from '../doors/client-connection.ts';
import type { Upgradable } from '../doors/door.ts';
import { AnswerHeaders } from '../exchange/answer-filter.ts';
import type { HttpExchange } from '../exchange/http-exchange.ts';
import { responseHeaders } from '../http/answer-fields.ts';
import { type HeaderList, rawHeader } from '../http/headers.ts';
import type { Via } from '../http/via.ts';
import type { UpstreamCall } from '../upstreams/upstream-call.ts';

/** A client's connection that asks to speak another protocol. */
export interface UpgradeRequest extends Upgradable {
  /** What it asks for, such as `websocket`. */
  readonly protocol: string;
}

/**
 * Join two connections after the upstream's 101, and only then: until it, not a byte of the new protocol has been
 * passed on. When either side ends, so does the other.
 *
 * @throws UpstreamError when the upstream switched to something that was not asked for.
 */
export function joinConnections(
  exchange: HttpExchange,
  call: UpstreamCall,
  upgrade: UpgradeRequest,
  via: Via,
): void {
  const upstream = call.socket;
  const spoken = rawHeader(call.rawHeaders, 'upgrade');
  if (upstream === undefined || spoken?.toLowerCase() !== upgrade.protocol.toLowerCase()) {
    call.abandon(new Error('the upstream switched to another protocol'));
    throw new UpstreamError(exchange.record.service ?? 'the upstream', 'switched to another protocol');
  }
  const fields = switchingFields(exchange, call, upgrade, via);
  const client = upgrade.socket;
  const early = upgrade.detach();
  exchange.record.status = call.status;
  if (upgrade.agree === undefined) client.write(switchingHead(call, spoken, fields), 'latin1');
  else upgrade.agree(fields);
  if (early.length > 0) upstream.write(early);
  for (const [side, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    side.on('error', () => other.destroy());
    side.once('close', () => {
      if (side.readableEnded) linger(other);
      else other.destroy();
    });
    side.pipe(other);
  }
  upstream.on('data', (chunk: Buffer) => {
    exchange.record.bytes += chunk.length;
  });
}

/** How long one side may take nothing of what the other one has left, in milliseconds. */
const lingerTime = 10_000;

/** Let one side have the rest of what the other one has said before it ended. */
function linger(side: Duplex): void {
  const limited = side as Duplex & { setTimeout?(time: number, callback: () => void): unknown };
  if (side.writableLength === 0 || limited.setTimeout === undefined) side.destroy();
  else limited.setTimeout(lingerTime, () => side.destroy());
}

/** What goes to the client with the agreement. */
function switchingFields(
  exchange: HttpExchange,
  call: UpstreamCall,
  { agree }: UpgradeRequest,
  via: Via,
): HeaderList {
  const leftOut = new Set([
    ...(exchange.added?.replaced ?? []),
    ...(agree === undefined ? [] : onlyOverHttp1),
  ]);
  try {
    const fields = responseHeaders(call.rawHeaders, leftOut);
    const list = [...fields, ...(exchange.added?.list ?? []), 'Via', via[call.version]];
    return exchange.filters.length === 0 ? list : filtered(exchange, call.status, list);
  } catch (error) {
    call.abandon(new Error('the agreement to switch protocols cannot be passed on'));
    throw error;
  }
}

/** As the filters leave it. There is no body, and the status stays. */
function filtered({ filters }: HttpExchange, status: number, list: string[]): HeaderList {
  const headers = new AnswerHeaders(list);
  for (const filter of filters) {
    const through = filter({ status, headers });
    if (through instanceof Duplex) through.destroy();
    else through?.over(false);
  }
  return headers.raw;
}

function switchingHead(call: UpstreamCall, protocol: string, fields: HeaderList): string {
  let head = `HTTP/1.1 ${call.status} ${STATUS_CODES[call.status]}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
  for (let index = 0; index < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${head}\r\n`;
}

/** Answers a key that an HTTP/2 client has not sent. */
const onlyOverHttp1: ReadonlySet<string> = new Set(['sec-websocket-accept']);

/** HTTP/2, HTTP and TLS are never let through: requests inside such a tunnel would pass every guard unseen. */
const hidesRequests = /\b(?:h2c?|http|tls)\b/i;

/** What a request asks to switch to; undefined when it asks for nothing, for more than one thing, or for what may not be. */
export function requestedProtocol(exchange: HttpExchange): string | undefined {
  const protocol = exchange.headers.get('upgrade');
  if (protocol === undefined || !/^[\w.\-/]+$/.test(protocol) || hidesRequests.test(protocol))
    return undefined;
  return protocol;
}

/**
 * Whether a request to switch protocols could be one for a tunnel. HTTP/2 never is. And some clients ask for it on every
 * request, bodies included, without counting on it.
 */
export function couldBeTunnel({ method, headers }: IncomingMessage): boolean {
  const { upgrade = '', 'content-length': length = '0', 'transfer-encoding': coding } = headers;
  return method === 'GET' && length === '0' && coding === undefined && !hidesRequests.test(upgrade);
}

/**
 * Have a request that asks to switch protocols served as the plain request that it also is: a server may ignore
 * `Upgrade` (RFC 9110, 7.8). Node has let go of the connection, so the request is put back in front of what follows it,
 * without the wish, and the connection given to the server again.
 */
export function serveAsPlain(request: IncomingMessage, bare: BareConnection): void {
  const { socket } = bare;
  const { method, url, httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    if (name === 'upgrade' || name === 'http2-settings') continue;
    const value = name === 'connection' ? withoutUpgrade(rawHeaders[index + 1]!) : rawHeaders[index + 1]!;
    if (value !== undefined) text += `${rawHeaders[index]}: ${value}\r\n`;
  }
  const { server } = socket as Socket & { readonly server?: Server | undefined };
  if (server === undefined) {
    socket.destroy();
    return;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), bare.release()]));
  server.emit((socket as TLSSocket).encrypted === true ? 'secureConnection' : 'connection', socket);
  socket.resume();
}

/** What `Connection` says besides the wish to switch; undefined when that is nothing. */
function withoutUpgrade(value: string): string | undefined {
  const options = value.split(',').filter((option) => !/^\s*(?:upgrade|http2-settings)\s*$/i.test(option));
  return options.length === 0 ? undefined : options.join(',');
}
