import { type ChildProcess, spawn } from 'node:child_process';
import { AppError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';

/** How a process ended: with an exit code, or by a signal. */
export interface AppExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The app's process while it lives. */
export interface AppProcess {
  readonly pid: number;
  /** Resolves when the process itself has ended. Never rejects. */
  readonly exited: Promise<AppExit>;
  /** Ask the process to end (SIGTERM). Its children are its own business. */
  terminate(): void;
  /** End the process and everything that it started, at once (SIGKILL to its process group). */
  kill(): void;
}

/** Starts the app's process. @throws AppError when it cannot be started at all. */
export type Launch = () => Promise<AppProcess>;

/** What to start. */
export interface AppCommand {
  /** For messages. */
  readonly app: string;
  /** Program and arguments; no shell reads them. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string | undefined;
}

/**
 * Start a process in a group of its own: Ctrl-C in the terminal then reaches the sidecar only, which lets requests
 * finish before it stops the app. What the process prints goes where the sidecar prints.
 */
export function launchApp({ app, command, environment, directory }: AppCommand): Promise<AppProcess> {
  const [program = '', ...parameters] = command;
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(new AppError(app, `${JSON.stringify(program)} cannot be started: ${messageOf(error)}`, error));
    try {
      const child = spawn(program, parameters, {
        cwd: directory,
        env: environment,
        stdio: ['ignore', 'inherit', 'inherit'],
        detached: process.platform !== 'win32',
      });
      child.once('error', fail);
      child.once('spawn', () => resolve(adopt(child)));
    } catch (error) {
      fail(error);
    }
  });
}

function adopt(child: ChildProcess): AppProcess {
  const pid = child.pid!;
  const kill = (): void => killGroup(pid);
  // The app must not outlive a sidecar that ends in any way that Node can see.
  process.once('exit', kill);
  // From here on errors are about signals that could not be sent, to a process that is gone.
  child.on('error', () => {});
  const exited = new Promise<AppExit>((resolve) => {
    child.once('exit', (code, signal) => {
      process.off('exit', kill);
      // Workers that it left behind would hold its port.
      kill();
      resolve({ code, signal });
    });
  });
  return { pid, exited, kill, terminate: () => void child.kill('SIGTERM') };
}

function killGroup(pid: number): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
