/**
 * How the benchmarks measure. Contenders of one scenario take turns in short slices, round after round, so that a busy
 * machine, a warm or a throttled processor meets all of them alike. What counts is the median of the rounds, and the
 * median of the differences and ratios within each round.
 */
import { createHook } from 'node:async_hooks';
import { getEventListeners } from 'node:events';

/** The contender that does nothing beyond the work itself; its cost is taken off where a cost "above bare" is meant. */
export const bare = 'bare';

const nanoseconds = 1e6;

/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A loop of awaited calls, compiled afresh for each contender: in a shared one, V8 would find many callees at one place
 * and charge each contender for the others.
 */
function loopOf(call) {
  const source =
    'return async (count) => { for (let i = 0; i < count; i += 1) { try { await call(); } catch {} } }';
  return new Function('call', source)(call);
}

async function preparedBy(prepare) {
  const prepared = await prepare();
  if (typeof prepared === 'function') return { call: prepared, most: Number.POSITIVE_INFINITY };
  return prepared;
}

/**
 * Milliseconds of processor time, of all the process's threads: what other programs take meanwhile does not count, what
 * the garbage collector takes does.
 */
async function elapsed(loop, count) {
  const start = process.cpuUsage();
  await loop(count);
  const { user, system } = process.cpuUsage(start);
  return Math.max(1, user + system) / 1_000;
}

/** How many calls fill a slice; warms the contender up on the way. */
async function calibrate(loop, slice, most) {
  const warm = performance.now() + slice * 8;
  let count = 16;
  let took = await elapsed(loop, count);
  while (took < slice && count < most) {
    count = Math.min(most, count * 2);
    took = await elapsed(loop, count);
  }
  while (performance.now() < warm && count < most) took = await elapsed(loop, count);
  return Math.max(1, Math.min(most, Math.round((count * slice) / took)));
}

/**
 * Nanoseconds of processor time of one awaited call. A contender is a function that prepares and gives the call, or
 * `{ call, most }` when no more than `most` calls may be made in a slice.
 */
export async function time(contenders, { long }) {
  const slice = long ? 20 : 6;
  const rounds = long ? 101 : 31;
  const entries = [];
  for (const [name, prepare] of Object.entries(contenders)) {
    const { call, most } = await preparedBy(prepare);
    const loop = loopOf(call);
    entries.push({ name, loop, count: await calibrate(loop, slice, most), raw: [] });
  }
  for (let round = 0; round < rounds; round += 1) {
    // Each round begins with another contender, so none always follows the same one's garbage.
    for (let turn = 0; turn < entries.length; turn += 1) {
      const entry = entries[(round + turn) % entries.length];
      entry.raw.push(((await elapsed(entry.loop, entry.count)) / entry.count) * nanoseconds);
    }
  }
  return Object.fromEntries(entries.map(({ name, raw }) => [name, raw]));
}

/** Flags of the process that measures allocation: a nursery so large that nothing is collected meanwhile. */
export const allocationFlags = ['--min-semi-space-size=64', '--max-semi-space-size=64'];

/** Bytes that one awaited call allocates on the heap. */
export async function allocation(contenders, { long }) {
  const rounds = long ? 21 : 7;
  const calls = 2_000;
  const result = {};
  for (const [name, prepare] of Object.entries(contenders)) {
    const loop = loopOf((await preparedBy(prepare)).call);
    await loop(20_000);
    const raw = [];
    for (let round = 0; round < rounds; round += 1) {
      globalThis.gc();
      const before = process.memoryUsage().heapUsed;
      await loop(calls);
      raw.push((process.memoryUsage().heapUsed - before) / calls);
    }
    result[name] = raw;
  }
  return result;
}

function retained() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  // A typed array's bytes are external to the heap, and as real.
  return heapUsed + external;
}

/** Bytes that one of ten thousand objects keeps. A contender makes one object. */
export async function heap(contenders) {
  const count = 10_000;
  const result = {};
  for (const [name, make] of Object.entries(contenders)) {
    for (let i = 0; i < 100; i += 1) make(i);
    const kept = new Array(count).fill(undefined);
    const before = retained();
    for (let i = 0; i < count; i += 1) kept[i] = make(i);
    result[name] = [(retained() - before) / kept.length];
  }
  return result;
}

/** Timers of this process that were made during `work` and are neither cancelled nor fired, the unref'd included. */
async function timersLeftBy(work) {
  const alive = new Set();
  const hook = createHook({
    init: (id, type) => void (type === 'Timeout' && alive.add(id)),
    destroy: (id) => void alive.delete(id),
  }).enable();
  await work();
  // The hook hears of a cancelled timer one turn later.
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  hook.disable();
  return alive.size;
}

/** Timers that are left when all calls are over. A contender makes its calls. */
export async function timersLeft(contenders) {
  const result = {};
  for (const [name, work] of Object.entries(contenders)) result[name] = [await timersLeftBy(work)];
  return result;
}

/** Listeners that are left on the caller's signal when all calls are over. A contender makes its calls with a signal. */
export async function listenersLeft(contenders) {
  const result = {};
  for (const [name, work] of Object.entries(contenders)) {
    const { signal } = new AbortController();
    await work(signal);
    result[name] = [getEventListeners(signal, 'abort').length];
  }
  return result;
}

async function held() {
  await new Promise((resolve) => setTimeout(resolve, 10));
  return process.getActiveResourcesInfo().length;
}

/** What keeps the process alive when all calls are over. A contender makes its calls. */
export async function holdsLeft(contenders) {
  const result = {};
  for (const [name, work] of Object.entries(contenders)) {
    const before = await held();
    await work();
    result[name] = [Math.max(0, (await held()) - before)];
  }
  return result;
}
