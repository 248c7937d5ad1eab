import { createHook } from 'node:async_hooks';

/** Counts the timers that are made from now on and neither fired nor cancelled, the unref'd included. */
export function alive() {
  const timers = new Set();
  createHook({
    init: (id, type) => void (type === 'Timeout' && timers.add(id)),
    destroy: (id) => void timers.delete(id),
  }).enable();
  return () => timers.size;
}
