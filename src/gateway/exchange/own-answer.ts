/** Giving answers of our own: a `Response`, a problem. */
import type { Door } from '../doors/door.ts';
import type { AddedHeaders } from '../http/headers.ts';
import { type Problem, problemBody } from '../http/problem.ts';
import { statusFields } from './grpc.ts';
import type { HttpExchange } from './http-exchange.ts';
import { type Patience, StallWatch } from './stall-watch.ts';

/** Who takes nothing, in errors. */
const taker = 'the client that takes the answer';

/** Fields that describe a body, or say for how long, and by whom, it may be kept. */
const aboutAnotherBody =
  /^(?:content-(?!security-policy)|(?:[a-z0-9]+-)*cache-control$|surrogate-control$|(?:repr-)?digest$|pragma$|age$|expires$|etag$|last-modified$|accept-ranges$)/;

/** Fields that may stand in an answer several times. */
const lists: ReadonlySet<string> = new Set(['vary', 'set-cookie', 'www-authenticate', 'link', 'warning']);

/** How much of an answer is written at once. */
const pieceBytes = 65_536;

/**
 * Give a Web-standard response as the answer, no faster than the client takes it; a client that takes nothing for too
 * long is given up, as it is when an upstream's answer is passed on. One whose body is not as long as its `Content-Length` says is broken
 * off: what follows on the connection would be taken for another answer.
 *
 * @throws TypeError when it has header fields that cannot be sent; nothing is sent then.
 */
export async function sendResponse(
  exchange: HttpExchange,
  response: Response,
  patience: Patience,
): Promise<void> {
  const { door, record } = exchange;
  const reader = response.body?.getReader();
  exchange.whenGone((reason) => void reader?.cancel(reason).catch(() => {}));
  let begun = false;
  try {
    const length = announcedLength(exchange, response);
    record.status = response.status;
    door.begin(response.status, response.statusText, ownHeaders(exchange, response));
    begun = true;
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) break;
      record.bytes += value.byteLength;
      if (length !== undefined && record.bytes > length) throw unequal(length);
      await writeChunk(exchange, value, patience);
    }
    if (exchange.gone !== undefined) return;
    if (length !== undefined && record.bytes < length) throw unequal(length);
    door.end();
  } catch (error) {
    void reader?.cancel(error).catch(() => {});
    if (!begun) throw error;
    record.error ??= error;
    door.destroy();
  }
}

function ownHeaders({ response: added }: HttpExchange, response: Response): string[] {
  const headers: string[] = [];
  for (const [name, value] of response.headers) {
    // How the body is cut into pieces is the connection's business.
    if (name !== 'transfer-encoding' && !added.replaced.has(name)) headers.push(name, value);
  }
  headers.push(...added.list);
  return headers;
}

/** How many bytes must follow; undefined when nothing was said, or when the answer has no body whatever it says. */
function announcedLength({ method }: HttpExchange, { headers, status }: Response): number | undefined {
  const text = headers.get('content-length');
  if (text === null || method === 'HEAD' || status === 204 || status === 304) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new TypeError(`a response has the Content-Length ${JSON.stringify(text)}`);
  return Number(text);
}

function unequal(length: number): TypeError {
  return new TypeError(`the body of a response is not ${length} bytes long, as its Content-Length says`);
}

/** Give a chunk, a long one in pieces: a client that takes them slowly takes them all the same. */
async function writeChunk(exchange: HttpExchange, chunk: Uint8Array, patience: Patience): Promise<void> {
  for (let start = 0; start < chunk.length && exchange.gone === undefined; start += pieceBytes) {
    const more = exchange.door.write(chunk.subarray(start, start + pieceBytes));
    if (!more) await drained(exchange, patience);
  }
}

/**
 * Until the client takes more, or is gone.
 *
 * @throws TimeoutError when it takes nothing for too long.
 */
function drained(exchange: HttpExchange, patience: Patience): Promise<void> {
  return new Promise((resolve, reject) => {
    const watch = new StallWatch(patience, taker, (late) => {
      forget();
      reject(late);
    });
    watch.begin();
    const onward = (): void => {
      watch.end();
      forget();
      resolve();
    };
    let forget = (): void => {};
    forget = exchange.whenGone(onward);
    exchange.door.onDrain(onward);
  });
}

/**
 * Tell a gRPC call what went wrong, with nothing else: the head is the end as well. Who looks at the answer on its way
 * out sees the status of HTTP; the client is told 200, as gRPC wants it.
 */
export function sendGrpcProblem(door: Door, entry: Door, problem: Problem, added?: AddedHeaders): void {
  const headers = ['content-type', 'application/grpc', ...statusFields(problem).flat()];
  entry.sayOk?.();
  door.begin(problem.status, '', [...headers, ...problemHeaders(problem, added)]);
  door.end();
}

/** Tell what went wrong; or break off, when an answer has begun already. */
export function sendProblem(door: Door, problem: Problem, added: AddedHeaders | undefined): void {
  if (door.started) {
    door.destroy();
    return;
  }
  const body = problemBody(problem);
  const headers = ['Content-Type', 'application/problem+json', 'Content-Length', String(body.length)];
  door.begin(problem.status, '', [...headers, ...problemHeaders(problem, added)]);
  door.write(body);
  door.end();
}

/**
 * What the head of a problem says beside its body: what the problem says itself, and what guards have set that is not
 * about another body and was not said already.
 */
function problemHeaders({ headers }: Problem, added: AddedHeaders | undefined): string[] {
  const own = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const fields = ['Cache-Control', own.get('cache-control') ?? 'no-store'];
  for (const [name, value] of own) if (!aboutAnotherBody.test(name)) fields.push(name, value);
  const list = added?.list ?? [];
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index]!.toLowerCase();
    if (aboutAnotherBody.test(name) || (own.has(name) && !lists.has(name))) continue;
    fields.push(list[index]!, list[index + 1]!);
  }
  return fields;
}
