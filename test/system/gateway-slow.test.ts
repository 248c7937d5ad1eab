/** Clients that take their time on purpose, in real time. */
import { expect, it } from 'vitest';
import { closeAfterEach, exchange, listening, raw, statusOf, until } from '../gateway/support.ts';

closeAfterEach();

it('probe 16, rule 23: a head that comes byte by byte is cut off, and others are served meanwhile', {
  timeout: 60_000,
}, async () => {
  const { port, router } = await listening({}, (it) => it.route('/*', { handle: () => new Response('ok') }));
  const slow = Array.from({ length: 50 }, () => raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nX-Slow: '));
  let closed = 0;
  for (const { closed: end } of slow) {
    void end.then(() => {
      closed += 1;
    });
  }
  const drip = setInterval(() => {
    for (const { socket } of slow) if (socket.writable) socket.write('x');
  }, 500);
  expect(statusOf(await exchange(port, ['GET / HTTP/1.1', 'Host: a']))).toBe(200);
  for (let turn = 0; turn < 8 && closed < slow.length; turn += 1) {
    await until(() => closed === slow.length).catch(() => {});
  }
  clearInterval(drip);
  expect(closed).toBe(slow.length);
  for (const { text } of slow) expect(text()).toMatch(/^HTTP\/1\.1 408 |^$/);
  expect(router.active).toBe(0);
});
