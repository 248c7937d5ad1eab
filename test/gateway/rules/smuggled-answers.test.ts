/**
 * Rule 5, the other way round: an upstream's answer hides another one in or behind it. The next request on the same
 * connections, the client's and the upstream's, must get its own answer.
 */
import { Agent, request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, listening, onCleanup, rawUpstream } from '../support.ts';
import { readAll } from './readings.ts';
import { makeAnswer, oneOf, poison } from './smuggling-corpus.ts';

closeAfterEach();

const seed = Number(process.env.SEED ?? 20_262);
const cases = Number(process.env.ANSWERS ?? 150);

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
  readonly whole: boolean;
}

describe('rule 5: smuggled answers', () => {
  it(`${cases} hostile answers poison no other (SEED=${seed})`, { timeout: 600_000 }, async () => {
    const random = seededRandom(seed);
    let hostile = '';
    let connections = 0;
    const { url } = await rawUpstream((socket) => {
      connections += 1;
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        const { requests, end } = readAll(text, 'strict');
        text = text.slice(end);
        for (const { target } of requests) {
          const own = `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`;
          socket.write(target === '/hostile' ? hostile : own, 'latin1');
          // What is not whole would keep its reader waiting.
          if (target === '/hostile' && random() < 0.3) socket.end();
        }
      });
    });
    const { port } = await listening(
      { limits: { connections: 1 }, timeouts: { firstByte: 1_000, idle: 1_000 } },
      (it) => it.route('/*', { url }),
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onCleanup(() => agent.destroy());
    const count = { hostile: 0, relayed: 0, refused: 0, broken: 0, shared: 0 };
    for (let index = 0; index < cases; index += 1) {
      hostile = makeAnswer(random);
      const label = `SEED=${seed}, answer ${index}: ${JSON.stringify(hostile)}`;
      const method = oneOf(random, ['GET', 'GET', 'HEAD', 'POST']);
      const before = connections;
      const given = await ask(port, agent, method, '/hostile', 60);
      count.hostile += 1;
      if (!given.whole) count.broken += 1;
      else if (given.status === 502) count.refused += 1;
      else count.relayed += 1;
      const victim = await ask(port, agent, 'GET', `/victim/${index}`, 0);
      expect(victim, label).toEqual({ status: 200, body: `/victim/${index}`, whole: true });
      if (connections === before) count.shared += 1;
      if (given.whole && given.body.startsWith(poison)) expect(given.body, label).toBe('');
    }
    console.log(`SEED=${seed}`, count);
    expect(count.shared).toBeGreaterThan(cases / 50);
    expect(count.relayed).toBeGreaterThan(cases / 5);
  });
});

/** One request on the agent's connection. One that is not answered whole in time is given up. */
function ask(port: number, agent: Agent, method: string, path: string, patience: number): Promise<Answer> {
  return new Promise((resolve) => {
    const asking = request({ port, host: '127.0.0.1', agent, method, path }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', () => {});
      response.on('close', () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode, body, whole: response.complete });
      });
    });
    const giveUp = (): void => void asking.destroy(new Error('given up'));
    const timer = patience === 0 ? undefined : setTimeout(giveUp, patience);
    asking.on('error', () => {
      clearTimeout(timer);
      resolve({ status: undefined, body: '', whole: false });
    });
    asking.end();
  });
}
