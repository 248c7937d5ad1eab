/**
 * The machine against a reference model that is as naïve as possible: it keeps every sample in a list and counts by
 * filtering, and knows generations and permits only as what the rules say of them.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { it } from 'vitest';
import { CircuitMachine } from '../../src/resilience/circuit-state.ts';
import type { ForcedState } from '../../src/resilience/circuit-types.ts';
import { Reference, type Ticket } from './circuit-model-reference.ts';

const outside = { random: () => 0, wallTime: () => 0 };

interface World {
  now: number;
  readonly machine: CircuitMachine;
  readonly tickets: Ticket[];
}

class Step implements fc.Command<Reference, World> {
  readonly #name: string;
  readonly #act: (model: Reference, real: World) => void;

  constructor(name: string, act: (model: Reference, real: World) => void) {
    this.#name = name;
    this.#act = act;
  }

  check(): boolean {
    return true;
  }

  run(model: Reference, real: World): void {
    this.#act(model, real);
    const { machine, now } = real;
    assert.equal(machine.state, model.state);
    assert.equal(machine.openings, model.openings);
    const samples = model.state === 'half-open' ? model.probes : model.kept(now);
    const tally = machine.tally(now);
    assert.equal(tally.calls, samples.length);
    assert.equal(tally.failures, samples.filter((sample) => sample.failed).length);
    assert.equal(tally.slow, samples.filter((sample) => sample.slow).length);
    const wait = model.state === 'open' ? Math.max(0, model.openedAt + model.openings * 100 - now) : 0;
    assert.equal(machine.retryAfter(now), model.state === 'forced-open' ? Number.POSITIVE_INFINITY : wait);
  }

  toString(): string {
    return this.#name;
  }
}

const admit = fc.constant(
  new Step('admit', (model, { machine, tickets, now }) => {
    model.look(now);
    machine.refresh(now);
    const admission = machine.admit();
    assert.equal(admission, model.admit());
    if (admission === 'refused') return;
    tickets.push({ generation: machine.generation, period: model.period, probe: admission === 'probe' });
  }),
);

/** Takes one of the calls under way, whichever the number says. */
const take = (tickets: Ticket[], which: number): Ticket | undefined =>
  tickets.length === 0 ? undefined : tickets.splice(which % tickets.length, 1)[0];

const settle = fc
  .record({ which: fc.nat(20), failed: fc.boolean(), slow: fc.boolean() })
  .map(({ which, failed, slow }) => {
    const name = `settle(${which}, ${failed ? 'failed' : 'succeeded'}${slow ? ', slow' : ''})`;
    return new Step(name, (model, { machine, tickets, now }) => {
      const ticket = take(tickets, which);
      if (ticket === undefined) return;
      machine.record(ticket.generation, now, slow ? 11 : 10, failed, undefined, outside);
      model.settle(ticket, { at: now, failed, slow });
    });
  });

const ignore = fc.nat(20).map(
  (which) =>
    new Step(`ignore(${which})`, (model, { machine, tickets }) => {
      const ticket = take(tickets, which);
      if (ticket === undefined) return;
      machine.ignore(ticket.generation);
      model.ignore(ticket);
    }),
);

const expire = fc.nat(20).map(
  (which) =>
    new Step(`expire(${which})`, (model, { machine, tickets, now }) => {
      const at = tickets.findIndex((ticket, index) => index >= which % (tickets.length || 1) && ticket.probe);
      const ticket = tickets[at];
      if (ticket === undefined) return;
      tickets.splice(at, 1);
      machine.expire(ticket.generation, now, undefined, outside);
      if (ticket.period === model.period) model.open(now);
    }),
);

const wait = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(99, 100, 200, 1_000, 1_001)).map(
  (time) =>
    new Step(`wait(${time})`, (_model, real) => {
      real.now += time;
    }),
);

const look = fc.constant(
  new Step('look', (model, { machine, now }) => {
    model.look(now);
    machine.refresh(now);
  }),
);

const byHand = fc.oneof(
  fc.constantFrom<ForcedState | undefined>('open', 'disabled', 'metrics-only', undefined).map(
    (state) =>
      new Step(`force(${state})`, (model, { machine }) => {
        machine.force(state);
        model.force(state);
      }),
  ),
  fc.constant(
    new Step('reset', (model, { machine }) => {
      machine.reset();
      model.reset();
    }),
  ),
  fc.constant(
    new Step('trip', (model, { machine, now }) => {
      machine.trip(now, undefined, outside);
      if (model.state === 'closed' || model.state === 'half-open') model.open(now);
    }),
  ),
);

const rate = fc.constantFrom(0.25, 0.5, 0.75, 1);
const settings = fc.record({
  window: fc.oneof(fc.record({ calls: fc.integer({ min: 1, max: 6 }) }), fc.constant({ time: 1_000 })),
  failureRate: rate,
  slowRate: rate,
  slowThreshold: fc.constant(10),
  minimumCalls: fc.integer({ min: 1, max: 5 }),
  consecutiveFailures: fc.constantFrom(2, 4, Number.POSITIVE_INFINITY),
  openFor: fc.constant((attempt: number) => attempt * 100),
  maxRetryAfter: fc.constant(0),
  probes: fc.integer({ min: 1, max: 4 }),
  early: fc.boolean(),
  failFast: fc.boolean(),
  maxWait: fc.constant(1_000),
  warmUp: fc.constant(0),
  latency: fc.constant(undefined),
});

const seed = Number(process.env.HOLDFAST_SEED ?? 2026);
const numRuns = Number(process.env.HOLDFAST_RUNS ?? 10_000);

it(`the machine agrees with the naïve model in ${numRuns} sequences (seed ${seed})`, () => {
  const commands = fc.commands(
    [admit, admit, admit, settle, settle, settle, ignore, expire, wait, wait, look, byHand].map(
      (command, index) =>
        // Interventions by hand are rarer, or nothing else would ever get far.
        index === 11 ? fc.oneof({ weight: 1, arbitrary: byHand }, { weight: 3, arbitrary: settle }) : command,
    ),
    { maxCommands: 60, size: 'max' },
  );
  fc.assert(
    fc.property(settings, commands, (chosen, steps) => {
      fc.modelRun(
        () => ({
          model: new Reference(chosen),
          real: { now: 0, machine: new CircuitMachine(chosen), tickets: [] },
        }),
        steps,
      );
    }),
    { seed, numRuns },
  );
}, 300_000);
