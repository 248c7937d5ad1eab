import type { Conversation } from './conversation.ts';
import { amqpHeader } from './rabbitmq.ts';

/** Class 10 of AMQP 0-9-1, "connection": the methods of its opening. */
const method = { start: 10, startOk: 11, tune: 30, tuneOk: 31, open: 40, openOk: 41 } as const;

/** Open a connection as AMQP 0-9-1 §2.2.4 says, with the URL's user, password and virtual host. */
export async function openAmqp(conversation: Conversation, url: URL): Promise<{ readonly product: string }> {
  conversation.say(amqpHeader);
  const start = await hear(conversation, method.start);
  const login = `\0${decodeURIComponent(url.username)}\0${decodeURIComponent(url.password)}`;
  const noProperties = Buffer.alloc(4);
  const startOk = [noProperties, shortText('PLAIN'), longText(login), shortText('en_US')];
  say(conversation, method.startOk, Buffer.concat(startOk));
  // The limits that the server proposes are taken as they are.
  say(conversation, method.tuneOk, await hear(conversation, method.tune));
  const virtualHost = decodeURIComponent(url.pathname.slice(1)) || '/';
  say(conversation, method.open, Buffer.concat([shortText(virtualHost), shortText(''), Buffer.alloc(1)]));
  await hear(conversation, method.openOk);
  // A server property is its name, the type `S`, a length and the text.
  const product = /product\0?S[\s\S]{4}([A-Za-z]+)/.exec(start.toString('latin1'))?.[1] ?? 'unknown';
  return { product };
}

/** A method frame on channel 0: type 1, channel, length, class 10, method, arguments, end mark. */
function say(conversation: Conversation, id: number, values: Buffer): void {
  const frame = Buffer.alloc(11);
  frame.writeUInt8(1, 0);
  frame.writeUInt32BE(values.length + 4, 3);
  frame.writeUInt16BE(10, 7);
  frame.writeUInt16BE(id, 9);
  conversation.say(Buffer.concat([frame, values, Buffer.of(0xce)]));
}

/** The arguments of the next method, which must be this one. */
async function hear(conversation: Conversation, id: number): Promise<Buffer> {
  const head = await conversation.hearBytes(7);
  const body = await conversation.hearBytes(head.readUInt32BE(3) + 1);
  const got = [head.readUInt8(0), body.readUInt16BE(0), body.readUInt16BE(2)];
  if (got.join() !== [1, 10, id].join()) throw new Error(`expected method 10.${id}, got ${got.join('.')}`);
  return body.subarray(4, -1);
}

function shortText(text: string): Buffer {
  return Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]);
}

function longText(text: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(text));
  return Buffer.concat([length, Buffer.from(text)]);
}
