import { afterAll, beforeAll, describe, it } from 'vitest';
import { findBinary } from './find-binary.ts';
import { type ProgramKind, Programs } from './program-kind.ts';
import { type Server, startServer } from './server.ts';
import type { ServerKind } from './server-kind.ts';

/** What the report says of one server. */
export interface ServerStatus {
  readonly name: string;
  /** Such as `running 7.0.15` or `missing (apt-get install redis-server)`. */
  readonly state: string;
}

declare module 'vitest' {
  interface TaskMeta {
    /** On the suites of {@link describeServer} and {@link describeProgram}; `status-reporter.ts` reads it. */
    readonly server?: ServerStatus;
  }
}

/**
 * A suite against a real server, which is started before its first test and stopped after its last. Where the server
 * is missing the tests are skipped and the report says how many; with `HOLDFAST_REQUIRE_SERVERS=1` that is a failure.
 */
export function describeServer(kind: ServerKind, body: (server: () => Server) => void): void {
  const named = kind.environment !== undefined && process.env[kind.environment];
  const state = named ? { available: true, text: `named by ${kind.environment}` } : stateOf(kind, 'running');
  suiteOf(kind, state, () => {
    let started: Server | undefined;
    beforeAll(async () => {
      started = await startServer(kind);
    });
    afterAll(() => started?.stop());
    body(() => {
      if (started === undefined) throw new Error(`${kind.name} runs only within its tests`);
      return started;
    });
  });
}

/** The same for a program that is run to its end, as often as a test wants. */
export function describeProgram(kind: ProgramKind, body: (program: Programs) => void): void {
  suiteOf(kind, stateOf(kind, 'found'), () => body(new Programs(kind)));
}

interface State {
  readonly available: boolean;
  readonly text: string;
}

function suiteOf({ name }: Pick<ServerKind, 'name'>, state: State, body: () => void): void {
  const server: ServerStatus = { name, state: state.text };
  if (!state.available && process.env.HOLDFAST_REQUIRE_SERVERS === '1') {
    it(`${name} is installed`, () => {
      throw new Error(`${name} is required and ${state.text}`);
    });
  }
  describe(name, { skip: !state.available, meta: { server } }, body);
}

function stateOf(kind: ProgramKind, present: string): State {
  const binary = findBinary(kind, kind.binary);
  if (binary === undefined) return { available: false, text: `missing (${kind.install})` };
  return { available: true, text: `${present} ${kind.version(binary)}` };
}
