import { memorySagaStore } from '../../adapters/memory/saga-store.ts';
import type { SagaRecord, SagaStore } from '../../ports/saga-store.ts';
import { SagaRunner } from '../../saga/runner.ts';
import type { Saga } from '../../saga/saga-phases.ts';
import { Life } from './life.ts';
import { assertStore, type MatrixSettings } from './matrix-options.ts';
import { formatPath, type ScriptedFault } from './script.ts';
import { type Boundary, matrixTimes, Stage, stagedStore } from './stage.ts';
import { Calls, stagedSaga } from './staged-saga.ts';
import { isOver, Watch } from './watch.ts';

/** What came of one run. */
export interface RunOutcome {
  readonly path: string;
  readonly boundaries: readonly Boundary[];
  /** Where the saga was at the end; undefined when it was never written down. */
  readonly status: SagaRecord['status'] | undefined;
  /** What was wrong; empty when everything was right. */
  readonly breaches: readonly string[];
  readonly trace: readonly string[];
}

const id = 'saga-1';

interface Worker {
  readonly life: Life;
  readonly runner: SagaRunner;
  readonly saga: Saga;
}

/** A caller's parts of a runner. */
type Ask = (worker: Worker) => Promise<unknown>;

/** One saga from its beginning to its end, on two workers, with what the script says going wrong. */
export class OneRun {
  readonly #settings: MatrixSettings;
  readonly #saga: Saga;
  readonly #path: string;
  readonly #stage: Stage;
  readonly #watch: Watch;
  readonly #calls: Calls = new Calls();
  readonly #store: SagaStore;
  readonly #workers: Worker[] = [];
  #booted = 0;
  /** What callers still ask for. */
  #asking = 0;
  #overSince: number | undefined;
  #cancelled: string | undefined;

  constructor(saga: Saga, settings: MatrixSettings, script: readonly ScriptedFault[]) {
    this.#saga = saga;
    this.#settings = settings;
    this.#path = formatPath(script);
    this.#stage = new Stage(script, () => void this.#cancel());
    const { time } = this.#stage;
    const runtime = { clock: time, random: this.#stage.random };
    this.#store =
      settings.store === undefined ? memorySagaStore({ runtime }) : assertStore(settings.store(runtime));
    const pivot = saga.definition.plan.steps.find((step) => step.kind === 'pivot')?.name;
    this.#watch = new Watch(pivot, this.#calls, (life, what) => this.#stage.note(life.name, what));
  }

  async play(doubles: unknown): Promise<RunOutcome> {
    for (const slot of [0, 1]) this.#boot(slot);
    void this.#beAsked();
    try {
      await this.#stage.time.run(
        () => this.#isAtEnd(),
        () => this.#stage.patience.wait(),
      );
    } catch (error) {
      this.#watch.breach(String(error));
    }
    await this.#judge(doubles);
    await this.#store.close();
    const { boundaries } = this.#stage;
    const { breaches, record } = this.#watch;
    const trace = breaches.length === 0 ? [] : this.#stage.trace;
    return { path: this.#path, boundaries, status: record?.status, breaches, trace };
  }

  #boot(slot: number): void {
    this.#booted += 1;
    const stage = this.#stage;
    const life = new Life(`worker-${this.#booted}`, stage.time);
    const { name } = life;
    const saga = stagedSaga(this.#saga, { stage, watch: this.#watch, calls: this.#calls, life });
    const { lease, pollInterval, attemptTimeout, settleTimeout } = matrixTimes;
    const runner = new SagaRunner({
      store: stagedStore(stage, this.#watch, life, this.#store),
      sagas: [saga],
      ...{ lease, pollInterval, attemptTimeout, settleTimeout },
      retry: { base: 100, max: 1_000 },
      runtime: { clock: life.clock, random: stage.random, id: counter(name) },
    });
    this.#workers[slot] = { life, runner, saga };
    // As a supervisor does: a process that cannot start, or died, is started again.
    runner.start().catch(() => life.kill());
    void life.died.then(async () => {
      stage.note(name, 'is dead');
      await stage.pass(matrixTimes.restart);
      this.#boot(slot);
    });
  }

  /** Do what callers do: begin the saga, then send the signals. */
  async #beAsked(): Promise<void> {
    await this.#ask(({ runner, saga }) => runner.begin(saga, this.#settings.input, { id }));
    for (const [index, { name, payload }] of this.#settings.signals.entries()) {
      await this.#ask(({ runner }) => signal(runner, name, payload, `signal-${index}`));
    }
  }

  async #cancel(): Promise<void> {
    await this.#ask(async ({ runner }) => {
      if (this.#watch.record === undefined) throw new Error('it has not begun');
      const outcome = await cancel(runner);
      this.#stage.note('caller', `its cancel was answered: ${outcome}`);
      if (this.#cancelled !== undefined && this.#cancelled !== outcome) {
        this.#watch.breach(`its cancel was answered ${this.#cancelled}, and then ${outcome}`);
      }
      this.#cancelled = outcome;
    });
  }

  /** Ask one worker after another until one answers. */
  async #ask(ask: Ask): Promise<void> {
    this.#asking += 1;
    for (let tries = 0; ; tries += 1) {
      const worker = this.#workers[tries % this.#workers.length]!;
      const answered = ask(worker).then(
        () => true,
        () => this.#overSince !== undefined,
      );
      if (await Promise.race([answered, worker.life.died.then(() => false)])) break;
      await this.#stage.pass(200);
    }
    this.#asking -= 1;
  }

  #isAtEnd(): boolean {
    const now = this.#stage.time.now();
    if (now > matrixTimes.doomsday) return true;
    const { record } = this.#watch;
    if (record === undefined || !isOver(record.status)) {
      this.#overSince = undefined;
      return false;
    }
    if (this.#overSince === undefined) {
      this.#stage.note('', `it is ${record.status}`);
      this.#stage.settled = true;
      this.#overSince = now;
    }
    return this.#asking === 0 && now > this.#overSince + this.#stage.latest;
  }

  async #judge(doubles: unknown): Promise<void> {
    const watch = this.#watch;
    const { record } = watch;
    if (record === undefined) return watch.breach('it was never written down');
    const { status, reason } = record;
    if (!isOver(status)) watch.breach(stuck(record));
    if (status === 'parked' && !reason) watch.breach('it is parked without a reason');
    if (this.#cancelled === 'accepted' && status === 'completed') {
      watch.breach('its cancel was accepted, and it is completed');
    }
    if (watch.breaches.length > 0) return;
    try {
      await this.#settings.check({ doubles, status, record, path: this.#path });
    } catch (error) {
      watch.breach(error instanceof Error ? error.message : String(error));
    }
  }
}

function stuck({ status, steps }: SagaRecord): string {
  const waiting = status === 'waiting' ? '; if it waits for a signal, give it in the option signals' : '';
  return `it is stuck: ${status} after ${steps.length} steps${waiting}`;
}

function signal(runner: SagaRunner, name: string, payload: unknown, request: string): Promise<unknown> {
  return runner.signal(id, name, payload, { id: request });
}

async function cancel(runner: SagaRunner): Promise<string> {
  const { outcome } = await runner.cancel(id, { reason: 'cancelled by the crash matrix', timeout: '10s' });
  return outcome;
}

/** Ids of one process: the first is its name. */
function counter(name: string): () => string {
  let made = 0;
  return () => {
    made += 1;
    return made === 1 ? name : `${name}-${made}`;
  };
}
