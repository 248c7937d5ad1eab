/** Rule 5 and rule 6: H2.CL and H2.TE. Frames go in, and an HTTP/1.1 upstream must not read in them what was hidden. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../../src/core/errors.ts';
import { RequestRouter } from '../../../src/gateway/request-router.ts';
import { seededRandom } from '../../../src/testing/test-runtime.ts';
import { closeAfterEach, onCleanup, rawUpstream, until } from '../support.ts';
import { minds, readAll } from './readings.ts';
import { forbidden } from './smuggling-corpus.ts';
import { frameTypes, goAway, makeHttp2Attack, rapidReset } from './smuggling-http2.ts';

closeAfterEach();

const seed = Number(process.env.SEED ?? 20_264);
const cases = Number(process.env.ATTACKS ?? 200);

/** Send the bytes; until a frame other than of settings has come, or the connection is closed, or neither in time. */
async function attack(port: number, bytes: Buffer): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  let answered = false;
  let over = false;
  socket.on('data', (chunk: Buffer) => {
    // HEADERS, RST_STREAM, GOAWAY.
    if (frameTypes(chunk).some((type) => [1, 3, goAway].includes(type))) answered = true;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    over = true;
  });
  socket.write(bytes);
  for (let turn = 0; turn < 40 && !over && !answered; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  socket.destroy();
  return answered || over;
}

describe('rule 5: smuggling by HTTP/2', () => {
  it(`${cases} attacks hide nothing, and no victim gets another's answer (SEED=${seed})`, {
    timeout: 600_000,
  }, async () => {
    const random = seededRandom(seed);
    const streams: string[] = [];
    const targets: string[] = [];
    const { url } = await rawUpstream((socket) => {
      const index = streams.push('') - 1;
      let read = 0;
      socket.on('data', (chunk) => {
        streams[index] += chunk.toString('latin1');
        const { requests, end } = readAll(streams[index]!, 'strict', read);
        read = end;
        for (const { method, target } of requests) {
          targets.push(target);
          const body = method === 'HEAD' ? '' : target;
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${body}`);
        }
      });
    });
    const router = new RequestRouter({ limits: { connections: 1 } })
      .use(({ path }) => {
        if (path.includes('smuggled')) throw new ProblemError(403, 'not for you');
      })
      .route('/*', { url });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { port, url: own } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
    const count = { attacks: 0, forwarded: 0, shared: 0, unanswered: 0 };
    for (let index = 0; index < cases; index += 1) {
      const bytes = makeHttp2Attack(random, index);
      const label = `SEED=${seed}, attack ${index}: ${JSON.stringify(bytes.toString('latin1'))}`;
      const before = targets.length;
      if (!(await attack(port, bytes))) count.unanswered += 1;
      const connection = streams.length;
      count.attacks += 1;
      if (targets.length > before) count.forwarded += 1;
      const victim = await fetch(`${own}/victim/${index}`);
      expect([victim.status, await victim.text()], label).toEqual([200, `/victim/${index}`]);
      if (targets.length > before + 1 && streams.length === connection) count.shared += 1;
      expect(
        targets.slice(before).filter((target) => target.includes(forbidden)),
        label,
      ).toEqual([]);
    }
    for (const stream of streams) {
      const [strict, ...others] = minds.map((mind) =>
        readAll(stream, mind).requests.map(({ method, target }) => `${method} ${target}`),
      );
      for (const other of others) expect(other, `SEED=${seed}`).toEqual(strict);
    }
    console.log(`SEED=${seed}`, count);
    expect(count.shared).toBeGreaterThan(cases / 20);
  });
});

describe('rule 23: rapid reset', () => {
  it('CVE-2023-44487: a client that opens and resets streams without end is cut off, and others are served', async () => {
    let asked = 0;
    const { url } = await rawUpstream((socket) => {
      socket.on('data', () => {
        asked += 1;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const router = new RequestRouter().route('/*', { url });
    onCleanup(() => router.stop({ timeout: 0 }));
    const { port, url: own } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    onCleanup(() => socket.destroy());
    let received = '';
    let over = false;
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.on('close', () => {
      over = true;
    });
    socket.write(rapidReset(5_000));
    expect((await fetch(own)).status).toBe(200);
    await until(() => over);
    expect(frameTypes(Buffer.from(received, 'latin1'))).toContain(goAway);
    await until(() => router.active === 0);
    // Far from all of them were passed on.
    expect(asked).toBeLessThan(1_500);
  });
});
