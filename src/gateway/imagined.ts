/** A request that nobody sent, to ask what the router would do with it. */
import { Readable } from 'node:stream';
import type { Runtime } from '../core/runtime.ts';
import type { Door } from './doors/door.ts';
import { webHead } from './doors/web-door.ts';
import { ExchangeRecord } from './exchange/exchange-record.ts';
import { HttpExchange } from './exchange/http-exchange.ts';
import { type ExplainContext, explain, type RouteExplanation, refusalOf } from './explain.ts';
import { type AdmissionRules, admit, type IncomingHead } from './http/admit.ts';
import { RequestHeaders } from './http/headers.ts';

/** A request to be explained: a Web-standard one, or what is known of one. */
export interface ImaginedRequest {
  /** Default GET. */
  readonly method?: string | undefined;
  /** A whole address, or a path; then the header `host` says for whom. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Address of who is connected. Default `unknown`. */
  readonly clientAddress?: string | undefined;
}

/** Explain a request that nobody sent, as if it had come. */
export async function explainRequest(
  context: ExplainContext,
  request: Request | ImaginedRequest,
  rules: AdmissionRules,
  runtime: Runtime,
): Promise<RouteExplanation> {
  const head = imaginedHead(request);
  const record = new ExchangeRecord(runtime.clock, head);
  let exchange: HttpExchange;
  try {
    exchange = new HttpExchange(new NoDoor(), head, admit(head, rules), record, runtime);
  } catch (error) {
    const { method, target: path, peer: clientAddress } = head;
    const none = { params: {}, why: [], guards: [], passedOver: [] };
    return { method, host: '', path, query: '', clientAddress, refused: refusalOf(error), ...none };
  }
  return explain(context, exchange);
}

/** What such a request says. */
function imaginedHead(request: Request | ImaginedRequest): IncomingHead {
  if (request instanceof Request) return webHead(request, 'unknown');
  const { method = 'GET', url, headers = {}, clientAddress = 'unknown' } = request;
  const raw: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const one of typeof value === 'string' ? [value] : value) raw.push(name, one);
  }
  const absolute = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(url);
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'host');
  if (!named) raw.push('Host', absolute?.[2] ?? 'localhost');
  const rest = absolute === null ? url : absolute[3]!;
  return {
    method: method.toUpperCase(),
    // Not by `URL`, which would resolve and escape what the router has to see as it comes.
    target: rest.startsWith('/') ? rest : `/${rest}`,
    version: '1.1',
    headers: new RequestHeaders(raw),
    peer: clientAddress,
    secure: absolute?.[1]?.toLowerCase() === 'https',
  };
}

/** The door of a request that nobody sent: nothing comes in by it, and nothing goes out. */
class NoDoor implements Door {
  readonly started: boolean = false;

  body(): Readable {
    return Readable.from([]);
  }

  proceed(): void {}

  inform(): void {}

  begin(): void {}

  flush(): void {}

  write(): boolean {
    return true;
  }

  onDrain(): void {}

  end(): void {}

  closeAfter(): void {}

  destroy(): void {}

  onClosed(): void {}
}
