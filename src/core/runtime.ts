import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from './clock.ts';

/** One thing that happened in a primitive, as telemetry sees it. */
export interface TelemetryEvent {
  /** Kind of primitive: `circuit-breaker`, `service-registry`, `saga` … */
  readonly primitive: string;
  /** The primitive's own name: the breaker's, the service's, the saga's. */
  readonly name: string;
  /** What happened, in the past tense: `opened`, `registered`, `completed` … */
  readonly type: string;
  /** The same payload that listeners get. Must not be changed. */
  readonly payload: object;
}

/** Takes what happens in every primitive: a metrics registry, a tracer, a log. */
export interface Telemetry {
  /** Called synchronously at each event; must be quick. What it throws is reported as a process warning. */
  record(event: TelemetryEvent): void;
}

/** What the library needs of its surroundings. Every option named `runtime` takes any part of it. */
export interface Runtime {
  /** Where time comes from. Default: the system's. */
  readonly clock: Clock;
  /** A number in [0, 1). Default: `Math.random`. */
  readonly random: () => number;
  /** A new unique id. Default: a random UUID. */
  readonly id: () => string;
  /** Who is told of every event. Default: nobody, and then no event is built. */
  readonly telemetry: Telemetry | undefined;
}

const systemRuntime: Runtime = {
  clock: systemClock,
  random: () => Math.random(),
  id: () => randomUUID(),
  telemetry: undefined,
};

/** The given parts of a runtime, completed by the system's. */
export function resolveRuntime(parts?: Partial<Runtime>): Runtime {
  if (parts === undefined) return systemRuntime;
  const { clock, random, id, telemetry } = systemRuntime;
  return {
    clock: parts.clock ?? clock,
    random: parts.random ?? random,
    id: parts.id ?? id,
    telemetry: parts.telemetry ?? telemetry,
  };
}
