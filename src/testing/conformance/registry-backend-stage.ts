import assert from 'node:assert/strict';
import type { RegistryBackend, ServiceInstance } from '../../ports/registry-backend.ts';

/** One fresh, empty registry under test. */
export interface RegistryBackendHarness {
  /** The backend under test. */
  readonly backend: RegistryBackend;
  /** Another client of the same registry, as another process would have. May be the same object in memory. */
  readonly other: RegistryBackend;
  /** Let time pass: on a virtual clock by moving it, on a real one by sleeping. Milliseconds. */
  readonly advance: (duration: number) => Promise<void>;
  /** Make the registry unreachable for both clients, so that requests and watches fail. */
  readonly cut: () => Promise<void>;
  /** End the cut; what was registered is still there. */
  readonly heal: () => Promise<void>;
  /** Make the registry lose every registration. */
  readonly forget: () => Promise<void>;
  /** Clean up after the test. */
  readonly close: () => Promise<void>;
}

/** What the bodies of the tests get. */
export interface Stage extends RegistryBackendHarness {
  /** A time to live that ends within the test. */
  readonly ttl: number;
  /** One that does not. */
  readonly lasting: number;
  /** Advance until the condition holds, for at most ten `ttl`. */
  readonly until: (what: string, condition: () => boolean | Promise<boolean>) => Promise<void>;
  /** Collect what a watch gives; stopped when the test ends. */
  readonly observe: (service: string, backend?: RegistryBackend) => Observation;
}

export interface Observation {
  readonly sets: (readonly ServiceInstance[])[];
  readonly ids: () => readonly string[] | undefined;
  readonly stop: () => void;
  /** `quiet`, or what the watch threw. */
  readonly ended: Promise<unknown>;
}

/** An instance as a service registry would register it. */
export function instance(id: string, changes: Partial<ServiceInstance> = {}): ServiceInstance {
  return {
    id,
    service: 'orders',
    host: '127.0.0.1',
    port: 3000,
    secure: false,
    url: 'http://127.0.0.1:3000',
    status: 'up',
    weight: 1,
    tags: [],
    metadata: {},
    ...changes,
  };
}

export function idsOf(set: readonly ServiceInstance[]): readonly string[] {
  return set.map((each) => each.id).sort();
}

export function stage(
  harness: RegistryBackendHarness,
  ttl: number,
): Stage & { readonly stopAll: () => void } {
  const observations: Observation[] = [];
  return {
    ...harness,
    ttl,
    lasting: 1_000 * ttl,
    stopAll: () => {
      for (const observation of observations) observation.stop();
    },
    until: async (what, condition) => {
      for (let passed = 0; passed <= 10 * ttl; passed += ttl / 20) {
        if (await condition()) return;
        await harness.advance(ttl / 20);
      }
      assert.fail(`never happened: ${what}`);
    },
    observe: (service, backend = harness.backend) => {
      const observation = observe(backend, service);
      observations.push(observation);
      return observation;
    },
  };
}

function observe(backend: RegistryBackend, service: string): Observation {
  const controller = new AbortController();
  const sets: (readonly ServiceInstance[])[] = [];
  const read = async (): Promise<unknown> => {
    try {
      for await (const set of backend.watch(service, controller.signal)) sets.push(set);
      return 'quiet';
    } catch (error) {
      return error;
    }
  };
  const last = (): readonly ServiceInstance[] | undefined => sets.at(-1);
  return {
    sets,
    ids: () => (last() === undefined ? undefined : idsOf(last()!)),
    stop: () => controller.abort(),
    ended: read(),
  };
}

export function isIds(actual: readonly string[] | undefined, ...expected: string[]): boolean {
  return JSON.stringify(actual) === JSON.stringify(expected);
}
