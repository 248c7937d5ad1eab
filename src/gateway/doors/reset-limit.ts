/**
 * Clients that open streams and break them off without end (CVE-2023-44487), or have them broken off by what they send
 * (CVE-2025-8671). nghttp2 has a limit of its own, but then only says goodbye and keeps the connection.
 */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../../core/clock.ts';

/** How many streams of a connection may break off at once. */
const burst = 200;

/** How many more may each millisecond. */
const perMillisecond = 0.033;

/** End a connection, with GOAWAY, on which too many streams break off. */
export function limitResets(session: ServerHttp2Session, clock: Clock): void {
  let left = burst;
  let countedAt = clock.now();
  function count(this: ServerHttp2Stream): void {
    if (this.rstCode === constants.NGHTTP2_NO_ERROR && !this.aborted) return;
    const now = clock.now();
    left = Math.min(burst, left + (now - countedAt) * perMillisecond) - 1;
    countedAt = now;
    if (left < 0) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
  session.on('stream', (stream) => stream.once('close', count));
}
