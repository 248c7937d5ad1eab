import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { UpstreamError } from '../core/errors.ts';
import type { HttpExchange } from './exchange.ts';
import { connectionOptions, rawHeader, responseHeaders } from './headers.ts';
import type { UpstreamCall } from './upstream-call.ts';

/** A client's connection that asks to speak another protocol, such as WebSocket. */
export interface UpgradeRequest {
  /** What it asks for, such as `websocket`. */
  readonly protocol: string;
  /** The bare connection. */
  readonly socket: Duplex;
  /** What the client sent right behind its request. */
  readonly head: Buffer;
  /** Takes the connection out of the hands of the HTTP response. */
  readonly detach: () => void;
}

/**
 * Join two connections after the upstream's 101, and only then: until it, not a byte of the new protocol has been
 * passed on. When either side ends, so does the other.
 *
 * @throws UpstreamError when the upstream switched to something that was not asked for.
 */
export function joinConnections(exchange: HttpExchange, call: UpstreamCall, upgrade: UpgradeRequest): void {
  const upstream = call.socket;
  const spoken = rawHeader(call.rawHeaders, 'upgrade');
  if (upstream === undefined || spoken?.toLowerCase() !== upgrade.protocol.toLowerCase()) {
    call.abandon(new Error('the upstream switched to another protocol'));
    throw new UpstreamError(exchange.record.service ?? 'the upstream', 'switched to another protocol');
  }
  const client = upgrade.socket;
  upgrade.detach();
  exchange.record.status = call.status;
  client.write(switchingHead(call, spoken), 'latin1');
  if (upgrade.head.length > 0) upstream.write(upgrade.head);
  for (const [side, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    side.on('error', () => other.destroy());
    side.once('close', () => other.destroy());
    side.pipe(other);
  }
  upstream.on('data', (chunk: Buffer) => {
    exchange.record.bytes += chunk.length;
  });
}

function switchingHead(call: UpstreamCall, protocol: string): string {
  const fields = responseHeaders(call.rawHeaders);
  let head = `HTTP/1.1 ${call.status} ${STATUS_CODES[call.status]}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
  for (let index = 0; index < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${head}\r\n`;
}

/** What a request asks to switch to; undefined when it does not, or when it also has a body. */
export function requestedProtocol(exchange: HttpExchange): string | undefined {
  const protocol = exchange.headers.get('upgrade');
  if (protocol === undefined || exchange.bodyLength !== 0 || exchange.method !== 'GET') return undefined;
  const asks = connectionOptions(exchange.headers.get('connection') ?? '').has('upgrade');
  return asks && /^[\w.\-/]+$/.test(protocol) ? protocol : undefined;
}
