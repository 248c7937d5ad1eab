/**
 * Rule 5. The attacker's bytes go through a router that has one connection to its upstream. Then a victim asks on that
 * same connection, and must get its own answer; and however a server reads what the router sent, nothing that the
 * attacker hid may turn up in it as a request.
 */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../../src/core/errors.ts';
import { seededRandom } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, listening, raw, rawUpstream, type TestRouter } from '../support.ts';
import { type Mind, minds, readAll } from './readings.ts';
import { forbidden, makeAttack } from './smuggling-corpus.ts';

closeAfterEach();

const seed = Number(process.env.SEED ?? 20_261);
const cases = Number(process.env.ATTACKS ?? 200);

interface Stage extends TestRouter {
  /** What came over each connection to the upstream. */
  readonly streams: string[];
  /** The targets that the upstream read, in order. */
  readonly targets: string[];
}

/** A router with one connection to an upstream of this mind, which answers each request with its target. */
async function stage(mind: Mind): Promise<Stage> {
  const streams: string[] = [];
  const targets: string[] = [];
  const { url } = await rawUpstream((socket: Socket) => {
    const index = streams.push('') - 1;
    let answered = 0;
    socket.on('data', (chunk) => {
      streams[index] += chunk.toString('latin1');
      const { requests, end } = readAll(streams[index]!, mind, answered);
      for (const { method, target } of requests) {
        targets.push(target);
        const body = method === 'HEAD' ? '' : target;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${body}`);
      }
      answered = end;
    });
  });
  const router = await listening({ limits: { connections: 1 } }, (it) =>
    it
      .use((exchange) => {
        if (exchange.path.includes('smuggled')) throw new ProblemError(403, 'not for you');
      })
      .route('/*', { url }),
  );
  return { ...router, streams, targets };
}

/** Send the bytes; until something is answered, or the gateway waits for more than there is. */
async function attack(port: number, bytes: string): Promise<string> {
  const client = raw(port, bytes);
  let over = false;
  void client.closed.then(() => {
    over = true;
  });
  for (let turn = 0; turn < 40 && !over && client.text() === ''; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  client.socket.destroy();
  await client.closed;
  return client.text();
}

describe('rule 5: request smuggling', () => {
  it(`${cases} attacks hide nothing, and no victim gets another's answer (SEED=${seed})`, {
    timeout: 600_000,
  }, async () => {
    const random = seededRandom(seed);
    const stages = await Promise.all(minds.map(stage));
    const count = { attacks: 0, forwarded: 0, refused: 0, unanswered: 0, victims: 0, shared: 0 };
    for (let index = 0; index < cases; index += 1) {
      const { family, bytes } = makeAttack(random, index);
      const { port, url, streams, targets } = stages[index % stages.length]!;
      const label = `SEED=${seed}, attack ${index} (${family}): ${JSON.stringify(bytes)}`;
      const before = targets.length;
      const answer = await attack(port, bytes);
      const connection = streams.length;
      count.attacks += 1;
      if (targets.length > before) count.forwarded += 1;
      else if (answer === '') count.unanswered += 1;
      else count.refused += 1;
      const victim = await fetch(`${url}/victim/${index}`);
      expect([victim.status, await victim.text()], label).toEqual([200, `/victim/${index}`]);
      count.victims += 1;
      if (targets.length > before + 1 && streams.length === connection) count.shared += 1;
      expect(
        targets.slice(before).filter((target) => target.includes(forbidden)),
        label,
      ).toEqual([]);
    }
    for (const { streams } of stages) for (const stream of streams) agreeOn(stream);
    console.log(`SEED=${seed}`, count);
    // Otherwise the victims proved nothing.
    expect(count.shared).toBeGreaterThan(cases / 10);
  });
});

/** Every mind reads the same requests out of what was forwarded. */
function agreeOn(stream: string): void {
  const [strict, ...others] = minds.map((mind) =>
    readAll(stream, mind).requests.map(({ method, target, body }) => ({ method, target, body })),
  );
  for (const other of others) expect(other, `SEED=${seed}`).toEqual(strict);
  expect(
    strict!.filter(({ target }) => target.includes(forbidden)),
    `SEED=${seed}`,
  ).toEqual([]);
}
