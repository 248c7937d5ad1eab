import type { Sidecar } from '../sidecar/sidecar.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { CliIo } from './io.ts';

/**
 * Run a sidecar until a signal or until its app is given up. The first SIGTERM, SIGINT or SIGHUP drains and
 * stops; a second one ends everything at once.
 *
 * @throws what `start` threw, unless a signal was the reason; the app's error when it was given up.
 */
export async function serve(sidecar: Sidecar, io: CliIo): Promise<ExitCode> {
  let signalled = false;
  let failure: Error | undefined;
  const stopped = new Promise<void>((resolve) => void sidecar.on('stopped', () => resolve()));
  const offSignal = io.onSignal(() => {
    if (signalled) io.exit(exitCodes.failure);
    signalled = true;
    void sidecar.stop();
  });
  sidecar.on('failed', ({ error }) => {
    failure = error;
    void sidecar.stop();
  });
  try {
    await sidecar.start();
    await stopped;
  } catch (error) {
    // Asked to stop before it had started: that is no failure.
    if (!signalled) throw failure ?? error;
  } finally {
    offSignal();
  }
  if (failure !== undefined) throw failure;
  return exitCodes.success;
}
