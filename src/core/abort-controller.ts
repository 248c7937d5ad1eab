import { setMaxListeners } from 'node:events';

/**
 * A controller whose signal is handed to others. Any number of them may listen at once, since a call may fan out as far
 * as it likes; Node would take more than ten for a leak and print a warning.
 */
export function abortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
