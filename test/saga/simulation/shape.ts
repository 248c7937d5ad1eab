/** The saga that all of a world's instances follow: drawn at random, built with the engine under test. */
import type { StandardSchema } from '../../../src/core/schema.ts';
import type { Saga } from '../../../src/saga/saga-phases.ts';
import type { StepContext, UndoContext } from '../../../src/saga/saga-types.ts';
import type { Engine } from './engine.ts';

/** One step that calls a participant. */
export interface Call {
  readonly type: 'call';
  readonly name: string;
  readonly kind: 'compensatable' | 'pivot' | 'retriable';
  readonly undoable: boolean;
  readonly once: boolean;
  /** Whether a `once` step can be asked about. */
  readonly query: boolean;
  readonly when: boolean;
}

export type Unit =
  | Call
  | {
      readonly type: 'group';
      readonly name: string;
      readonly calls: readonly Call[];
      readonly concurrent: boolean;
      readonly when: boolean;
    }
  | { readonly type: 'delay'; readonly name: string; readonly duration: number; readonly when: boolean }
  | {
      readonly type: 'wait';
      readonly name: string;
      readonly timeout: number | undefined;
      readonly onTimeout: 'turn-back' | 'park' | 'continue';
      readonly when: boolean;
    }
  | {
      readonly type: 'nested';
      readonly name: string;
      readonly units: readonly Unit[];
      readonly when: boolean;
    };

/** A step as the books know it: its index is its place in the plan. */
export interface Place {
  readonly index: number;
  readonly name: string;
  /** Ordinal of what is worked on at one time. */
  readonly unit: number;
  readonly type: 'call' | 'delay' | 'wait' | 'scope';
  readonly kind: 'compensatable' | 'pivot' | 'retriable';
  readonly undoable: boolean;
  readonly once: boolean;
  /** Whether its group is undone at once. */
  readonly concurrent: boolean;
  readonly conditional: boolean;
  /** Whether it waits for a signal until there is one. */
  readonly endless: boolean;
}

/** What the participants of a world do for its sagas. */
export interface Doer {
  do(place: Place, context: StepContext<unknown, unknown>): unknown;
  undo(place: Place, context: UndoContext<unknown, unknown, unknown>): unknown;
  query(
    place: Place,
    context: StepContext<unknown, unknown>,
  ): Promise<{ happened: boolean; result?: unknown }>;
  /** A condition that says something else each time it is asked. */
  when(): boolean;
}

/** What a saga is given: its number. Checked by hand, since the check itself is none of what is simulated. */
const input: StandardSchema<{ n: number }> = {
  '~standard': {
    version: 1,
    vendor: 'simulation',
    validate: (value) =>
      typeof (value as { n?: unknown } | null)?.n === 'number'
        ? { value: value as { n: number } }
        : { issues: [{ message: 'not the number of a saga' }] },
  },
};

type Random = () => number;

function chance(random: Random, of: number): boolean {
  return random() < of;
}

function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

/** Draws shapes; names count up. */
class Draw {
  #calls = 0;
  readonly #random: Random;
  readonly #lazy: boolean;

  constructor(random: Random, lazy: boolean) {
    this.#random = random;
    this.#lazy = lazy;
  }

  units(count: number, kind: 'compensatable' | 'retriable', nested: boolean): Unit[] {
    return Array.from({ length: count }, () => this.#unit(kind, nested));
  }

  call(kind: Call['kind'], inGroup = false): Call {
    const random = this.#random;
    const once = !inGroup && !this.#lazy && chance(random, 0.12);
    const name = `${kind === 'pivot' ? 'pivot' : 's'}${this.#calls}`;
    this.#calls += 1;
    return {
      type: 'call',
      name,
      kind,
      undoable: kind === 'compensatable' && !chance(random, 0.12),
      once,
      query: once && chance(random, 0.6),
      when: !inGroup && kind !== 'pivot' && chance(random, 0.15),
    };
  }

  #unit(kind: 'compensatable' | 'retriable', nested: boolean): Unit {
    const random = this.#random;
    const roll = random();
    if (roll < 0.6) return this.call(kind);
    const name = `u${this.#calls}`;
    this.#calls += 1;
    const when = chance(random, 0.2);
    if (roll < 0.75) {
      const calls = Array.from({ length: 2 + below(random, 2) }, () => this.call(kind, true));
      return {
        type: 'group',
        name,
        calls,
        concurrent: kind === 'compensatable' && chance(random, 0.5),
        when,
      };
    }
    if (roll < 0.83) return { type: 'delay', name, duration: 1 + below(random, 4_000), when };
    if (roll < 0.93 || !nested) return this.#wait(name, kind, when);
    return { type: 'nested', name, units: this.units(1 + below(random, 2), kind, false), when };
  }

  #wait(name: string, kind: string, when: boolean): Unit {
    const random = this.#random;
    const timeout = chance(random, 0.6) ? 200 + below(random, 8_000) : undefined;
    const first = kind === 'compensatable' ? 'turn-back' : 'park';
    const onTimeout = timeout === undefined || chance(random, 0.5) ? first : 'continue';
    return { type: 'wait', name, timeout, onTimeout, when };
  }
}

/** What a world's sagas look like. */
export interface Shape {
  readonly units: readonly Unit[];
  readonly lazy: boolean;
  /** After how many milliseconds they turn back. */
  readonly deadline: number | undefined;
}

export function drawShape(random: Random): Shape {
  const lazy = chance(random, 0.15);
  const draw = new Draw(random, lazy);
  const before = draw.units(below(random, 4), 'compensatable', true);
  const pivot = before.length === 0 || chance(random, 0.7) ? [draw.call('pivot')] : [];
  const after = pivot.length === 0 ? [] : draw.units(below(random, 3), 'retriable', true);
  const deadline = chance(random, 0.15) ? 3_000 + below(random, 8_000) : undefined;
  return { units: [...before, ...pivot, ...after], lazy, deadline };
}

/** The builder without its types: names are not known to the compiler here. */
interface Builder extends Saga<unknown, unknown> {
  step(name: string, run: unknown, options?: object): Builder;
  pivot(name: string, run: unknown, options?: object): Builder;
  parallel(name: string, make: (group: Builder) => Builder, options?: object): Builder;
  delay(name: string, duration: unknown, options?: object): Builder;
  waitFor(name: string, options?: object): Builder;
  saga(name: string, child: unknown, options?: object): Builder;
}

/** Build the saga; `doer` acts for its steps. */
export function buildSaga(
  engine: Engine,
  shape: Shape,
  places: ReadonlyMap<string, Place>,
  doer: Doer,
): Saga {
  const { lazy, deadline } = shape;
  const options = { input, ...(lazy && { durability: 'lazy' }), ...(deadline !== undefined && { deadline }) };
  const empty = engine.saga('simulated', options as never) as unknown as Builder;
  return new Assembly(engine, places, doer).all(empty, shape.units, '') as Saga;
}

class Assembly {
  readonly #engine: Engine;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #doer: Doer;

  constructor(engine: Engine, places: ReadonlyMap<string, Place>, doer: Doer) {
    this.#engine = engine;
    this.#places = places;
    this.#doer = doer;
  }

  all(builder: Builder, units: readonly Unit[], prefix: string): Builder {
    return units.reduce((made, unit) => this.#add(made, unit, prefix), builder);
  }

  #add(builder: Builder, unit: Unit, prefix: string): Builder {
    const when = unit.when ? { when: () => this.#doer.when() } : {};
    const { name } = unit;
    switch (unit.type) {
      case 'call':
        return this.#call(builder, unit, prefix);
      case 'group': {
        const undo = unit.concurrent ? { undo: 'concurrent' } : {};
        const members = (group: Builder): Builder =>
          unit.calls.reduce((made, call) => this.#call(made, call, prefix), group);
        return builder.parallel(name, members, { ...when, ...undo });
      }
      case 'delay':
        return builder.delay(name, unit.duration, when);
      case 'wait': {
        const { timeout, onTimeout } = unit;
        return builder.waitFor(name, { ...when, ...(timeout !== undefined && { timeout, onTimeout }) });
      }
      case 'nested': {
        const empty = this.#engine.saga('child', { input }) as unknown as Builder;
        const child = this.all(empty, unit.units, `${prefix}${name}.`);
        const map = ({ input: outer }: { input: unknown }): unknown => outer;
        return builder.saga(name, child, { input: map, ...when });
      }
    }
  }

  #call(builder: Builder, call: Call, prefix: string): Builder {
    const place = (): Place => this.#places.get(`${prefix}${call.name}`)!;
    const doer = this.#doer;
    const run = (context: StepContext<unknown, unknown>): unknown => doer.do(place(), context);
    const options = {
      ...(call.when && { when: () => doer.when() }),
      ...(call.once && { once: true }),
      ...(call.query && { query: (context: StepContext<unknown, unknown>) => doer.query(place(), context) }),
    };
    if (call.kind === 'pivot') return builder.pivot(call.name, run, options);
    if (call.kind === 'retriable') {
      // A nested saga is declared by itself, and so knows nothing of the pivot that it comes after.
      return builder.step(call.name, run, prefix === '' ? options : { ...options, undo: 'nothing' });
    }
    const undo = call.undoable
      ? (context: UndoContext<unknown, unknown, unknown>): unknown => doer.undo(place(), context)
      : 'nothing';
    return builder.step(call.name, run, { ...options, undo });
  }
}

/** The places of a built saga, by name. */
export function placesOf(saga: Saga, shape: Shape): Map<string, Place> {
  const units = shape.units.flatMap((u) => (u.type === 'nested' ? u.units : [u]));
  const endless = new Set(
    units.filter((u) => u.type === 'wait' && u.timeout === undefined).map((u) => u.name),
  );
  const places = new Map<string, Place>();
  let unit = -1;
  let group: string | undefined;
  for (const [index, step] of saga.definition.plan.steps.entries()) {
    const { name, kind, undoable, type, once = false, conditional = false } = step;
    if (step.group === undefined || step.group !== group) unit += 1;
    group = step.group;
    places.set(name, {
      index,
      name,
      unit,
      type,
      kind,
      undoable,
      once,
      concurrent: step.undoneTogether ?? false,
      endless: endless.has(name.split('.').at(-1)!),
      conditional,
    });
  }
  return places;
}
