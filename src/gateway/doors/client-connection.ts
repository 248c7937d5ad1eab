/**
 * What has to be known of a client's HTTP/1.1 connection when it asks for something before it has its earlier answers:
 * Node tells only the answer that is on its way of the connection's end, and hands the connection over at a request to
 * switch protocols even while answers are outstanding on it.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How much a client may say in another protocol before it was agreed to; then it has to wait. */
const earlyBytes = 65_536;

/** An answer that is still to be given, or to be finished. */
export interface OpenAnswer {
  /** The one that was asked for before it on the same connection, while that is open. */
  earlier: OpenAnswer | undefined;
  /** The connection is gone. May be told more than once. */
  cutOff(): void;
  /** The connection takes more, if it is this answer that is on its way. */
  drained(): void;
}

/** The answer that was asked for last, while it is open. */
const latest: unique symbol = Symbol('latest answer');

/** What goes on when that answer is over. */
const waiting: unique symbol = Symbol('waiting request');

type Connection = Socket & { [latest]?: OpenAnswer | undefined; [waiting]?: (() => void) | undefined };

/** @param inLine whether answers before it are still outstanding. */
export function openAnswer(socket: Socket, answer: OpenAnswer, inLine: boolean): void {
  const connection: Connection = socket;
  answer.earlier = connection[latest];
  connection[latest] = answer;
  if (inLine && socket.listenerCount('close', cutOffAll) === 0) socket.on('close', cutOffAll);
}

/** The answer is over, however it ended. */
export function closeAnswer(socket: Socket, answer: OpenAnswer): void {
  const connection: Connection = socket;
  answer.earlier = undefined;
  if (connection[latest] !== answer) return;
  connection[latest] = undefined;
  connection[waiting]?.();
}

function openAnswers({ [latest]: last }: Connection): OpenAnswer[] {
  const answers: OpenAnswer[] = [];
  for (let answer = last; answer !== undefined; answer = answer.earlier) answers.push(answer);
  return answers.reverse();
}

function cutOffAll(this: Socket): void {
  for (const answer of openAnswers(this)) answer.cutOff();
}

/** A connection that Node has let go of, because its client wants to switch protocols. */
export class BareConnection {
  readonly socket: Socket;
  readonly #early: Buffer[];
  #earlyLength = 0;

  /** @param head what came right behind the request. */
  constructor(socket: Socket, head: Buffer) {
    this.socket = socket;
    this.#early = [head];
    socket.on('error', ignore);
    // A connection that nobody reads does not tell that its client is gone.
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    // Nobody else tells an answer any more that its connection takes more.
    socket.on('drain', this.#onDrain);
  }

  /** Leave the connection to others, paused; returns what the client said meanwhile. */
  release(): Buffer {
    this.socket.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain).pause();
    return Buffer.concat(this.#early);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#earlyLength += chunk.length;
    if (this.#earlyLength > earlyBytes) this.socket.pause();
  };

  /** As Node does while a plain request is served: a client that ends its side waits for nothing. */
  readonly #onEnd = (): void => void this.socket.destroy();

  readonly #onDrain = (): void => {
    for (const answer of openAnswers(this.socket)) answer.drained();
  };
}

/**
 * Go on once every earlier answer on the connection has gone out; at once when there is none. Never, when the last of
 * them ends the connection. When one is outstanding that is not ours, nothing tells of its end: the connection is closed
 * then, and so it is when going on throws.
 */
export function afterEarlierAnswers(
  request: IncomingMessage,
  { socket }: BareConnection,
  proceed: () => void,
): void {
  const connection: Connection = socket;
  const goOn = (): void => {
    try {
      mustBeFree(request, socket);
      proceed();
    } catch {
      socket.destroy();
    }
  };
  if (connection[latest] === undefined) {
    goOn();
    return;
  }
  connection[waiting] = () => {
    connection[waiting] = undefined;
    if (socket.destroyed || socket.writableEnded) return;
    // Node has begun to wait for a next request.
    socket.setTimeout(0);
    goOn();
  };
}

/** @throws Error when an answer is outstanding. */
function mustBeFree(request: IncomingMessage, socket: Socket): void {
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.detachSocket(socket);
}

function ignore(): void {}
