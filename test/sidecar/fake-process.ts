import type { AppExit, AppProcess, Launch } from '../../src/sidecar/app-process.ts';

/** A process that ends when told to. */
export interface FakeProcess extends AppProcess {
  /** What was sent to it, in order. */
  readonly signals: string[];
  end(exit: Partial<AppExit>): void;
}

/** A launch that gives fake processes and remembers them; `failWith` makes the next ones fail. */
export function fakeLaunch(behaviour: { ignoresTerm?: boolean } = {}): {
  readonly launch: Launch;
  readonly processes: FakeProcess[];
  failWith: Error | undefined;
} {
  const processes: FakeProcess[] = [];
  const fake = {
    processes,
    failWith: undefined as Error | undefined,
    launch: async (): Promise<AppProcess> => {
      if (fake.failWith !== undefined) throw fake.failWith;
      let end: (exit: Partial<AppExit>) => void = () => {};
      const exited = new Promise<AppExit>((resolve) => {
        end = (exit) => resolve({ code: null, signal: null, ...exit });
      });
      const signals: string[] = [];
      const process: FakeProcess = {
        pid: 1_000 + processes.length,
        exited,
        signals,
        end,
        terminate: () => {
          signals.push('SIGTERM');
          if (!behaviour.ignoresTerm) end({ signal: 'SIGTERM' });
        },
        kill: () => {
          signals.push('SIGKILL');
          end({ signal: 'SIGKILL' });
        },
      };
      processes.push(process);
      return process;
    },
  };
  return fake;
}
