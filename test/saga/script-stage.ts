import { memorySagaStore } from '../../src/adapters/memory/saga-store.ts';
import type { SagaRecord, SagaStore } from '../../src/ports/saga-store.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import type { SagaRunnerOptions } from '../../src/saga/runner-options.ts';
import type { Saga } from '../../src/saga/saga-phases.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

type Method = {
  [K in keyof SagaStore]: SagaStore[K] extends (...args: never[]) => unknown ? K : never;
}[keyof SagaStore];

/** What is done before a call goes on to the store, by its name. */
export type Hooks = { [K in Method]?: (...args: Parameters<SagaStore[K]>) => unknown };

/** A store whose calls can be looked at, held back and broken, one at a time. */
export function hooked(inner: SagaStore, hooks: Hooks): SagaStore {
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        const hook = hooks[name as Method] as ((...args: unknown[]) => unknown) | undefined;
        await hook?.(...args);
        return value.apply(target, args);
      };
    },
  });
}

/** Virtual time, a store, a log of what was done, and a script that says what each step does. */
export class ScriptStage {
  readonly runtime: TestRuntime = testRuntime();
  readonly inner: SagaStore = memorySagaStore({ runtime: this.runtime });
  readonly hooks: Hooks = {};
  readonly store: SagaStore = hooked(this.inner, this.hooks);
  readonly log: string[] = [];
  /** Names of the store's writes, in order. */
  readonly writes: string[] = [];
  /** What a step does besides being logged, by its name (`undo x` for its undo). */
  readonly script: Record<string, (key: string) => unknown> = {};

  constructor() {
    this.hooks.create = () => void this.writes.push('create');
    this.hooks.update = ({ status }) => void this.writes.push(status);
  }

  /** Log it, do what the script says, and return that or the name. */
  readonly act = (name: string, key = ''): unknown => {
    this.log.push(name);
    return this.script[name]?.(key) ?? name;
  };

  /** The function of a step. */
  readonly do =
    (name: string) =>
    ({ key }: { readonly key: string }): unknown =>
      this.act(name, key);

  /** The options of a step that is undone. */
  readonly undo = (name: string): { readonly undo: (context: { readonly key: string }) => unknown } => ({
    undo: ({ key }) => this.act(`undo ${name}`, key),
  });

  runner(sagas: readonly Saga[], options: Partial<SagaRunnerOptions> = {}): Promise<SagaRunner> {
    const { store, runtime } = this;
    return new SagaRunner({ store, sagas, runtime, ...options }).start();
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.runtime.clock.settle(promise);
  }

  async record(id: string): Promise<SagaRecord> {
    const record = await this.inner.get(id);
    if (record === undefined) throw new Error(`there is no saga ${id}`);
    return record;
  }

  /** The status of each step by its name. */
  async steps(id: string): Promise<Record<string, string>> {
    const { steps } = await this.record(id);
    return Object.fromEntries(steps.map((s) => [s.name, s.skipped ? 'skipped' : s.status]));
  }

  /** Put a record into the store as a dead worker left it: its lease is over. */
  async abandon(saga: Saga, record: Partial<SagaRecord> & { readonly id: string }): Promise<void> {
    const lease = { owner: `dead ${record.id}`, ttl: 1 };
    const made = await this.inner.create(
      {
        saga: saga.name,
        hash: saga.hash,
        definitionVersion: saga.version,
        status: 'running',
        input: {},
        steps: [],
        createdAt: this.runtime.clock.wallTime(),
        ...(record.deadline !== undefined && { deadline: record.deadline }),
        id: record.id,
      },
      lease,
    );
    await this.inner.update({ ...made.record, ...record });
    await this.inner.release(lease.owner);
  }
}

export const fails = (why = 'reset'): (() => never) => {
  return () => {
    throw new Error(why);
  };
};

/** A promise that somebody else ends. */
export function deferred<T = void>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
} {
  let [resolve, reject]: [(value: T) => void, (error: unknown) => void] = [() => {}, () => {}];
  const promise = new Promise<T>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  return { promise, resolve, reject };
}
