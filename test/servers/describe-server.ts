import { afterAll, beforeAll, describe, it } from 'vitest';
import { findBinary } from './find-binary.ts';
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
    /** On the suites of {@link describeServer}; `status-reporter.ts` reads it. */
    readonly server?: ServerStatus;
  }
}

/**
 * A suite against a real server, which is started before its first test and stopped after its last. Where the server
 * is missing the tests are skipped and the report says how many; with `HOLDFAST_REQUIRE_SERVERS=1` that is a failure.
 */
export function describeServer(kind: ServerKind, body: (server: () => Server) => void): void {
  const state = stateOf(kind);
  const server: ServerStatus = { name: kind.name, state: state.text };
  if (!state.available && process.env.HOLDFAST_REQUIRE_SERVERS === '1') {
    it(`${kind.name} is installed`, () => {
      throw new Error(`${kind.name} is required and ${state.text}`);
    });
  }
  describe(kind.name, { skip: !state.available, meta: { server } }, () => {
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

function stateOf(kind: ServerKind): { readonly available: boolean; readonly text: string } {
  if (process.env[kind.environment]) return { available: true, text: `named by ${kind.environment}` };
  const binary = findBinary(kind, kind.binary);
  if (binary === undefined) return { available: false, text: `missing (${kind.install})` };
  return { available: true, text: `running ${kind.version(binary)}` };
}
