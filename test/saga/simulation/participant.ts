import type { StepContext, UndoContext } from '../../../src/saga/saga-types.ts';
import { type Incarnation, silence } from './incarnation.ts';
import type { World } from './world.ts';

type AnyStep = StepContext<unknown, unknown>;
type AnyUndo = UndoContext<unknown, unknown, unknown>;

/** Calls participants on behalf of one process, with everything that can go wrong on the way there and back. */
export class Participant {
  readonly #world: World;
  readonly #process: Incarnation;

  constructor(world: World, process: Incarnation) {
    this.#world = world;
    this.#process = process;
  }

  async do(step: number, { sagaId: id, key, signal }: AnyStep): Promise<number> {
    const { ledger } = this.#world;
    this.#expectForward(id, step);
    return this.#outgoing(`${id}/${step}`, async () => {
      const conduct = this.#world.conduct(id, step);
      await this.#travel(conduct, signal);
      if (ledger.known(key) === 'barred') return this.#world.engine.refuse('barred', { conclusive: true });
      if (ledger.known(key) === 'applied') return step;
      if (conduct === 'refuse') return this.#refuse(key);
      if (conduct === 'fail without effect') throw new Error('it did not work');
      ledger.apply({ id, step }, key);
      return this.#answer(conduct, step);
    });
  }

  async undo(step: number, context: AnyUndo): Promise<void> {
    const { sagaId: id, key, forwardKey, signal } = context;
    this.#expectBackward(id, step);
    await this.#outgoing(`${id}/${step}/undo`, async () => {
      const conduct = this.#world.undoConduct(id);
      await this.#travel(conduct, signal);
      if (conduct === 'fail without effect') throw new Error('it did not work');
      this.#world.ledger.revert({ id, step }, key, forwardKey);
      await this.#answer(conduct, step);
    });
  }

  async #answer(conduct: string, step: number): Promise<number> {
    if (conduct === 'crash after') {
      this.#process.kill();
      return silence();
    }
    if (conduct === 'fail with effect') throw new Error('the answer was lost');
    await this.#process.awake();
    return step;
  }

  /** Without memory of keys it speaks for this attempt only; with it, it keeps its word for all. */
  #refuse(key: string): never {
    const conclusive = this.#world.random() < 0.5;
    if (conclusive) this.#world.ledger.bar(key);
    return this.#world.engine.refuse('no', { conclusive });
  }

  async #travel(conduct: string, signal: AbortSignal): Promise<void> {
    if (conduct === 'crash before') this.#process.kill();
    await this.#process.awake();
    if (conduct === 'slow') await this.#world.pass(this.#world.delay());
    if (conduct === 'hang') await this.#untilAborted(signal);
  }

  /** A request that hangs is given up with its signal; what it was about may still happen. */
  async #untilAborted(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (this.#world.random() < 0.5) throw new Error('aborted');
  }

  async #outgoing<T>(place: string, work: () => Promise<T>): Promise<T> {
    const { underWay } = this.#process;
    underWay.set(place, (underWay.get(place) ?? 0) + 1);
    try {
      return await work();
    } finally {
      underWay.set(place, underWay.get(place)! - 1);
    }
  }

  #expectOwned(id: string, what: string): void {
    if (!this.#process.alive) return;
    if (this.#process.fenced.has(id)) this.#world.ledger.breach(`${id}: ${what} by a worker that was fenced`);
  }

  #expectForward(id: string, step: number): void {
    this.#expectOwned(id, `do ${step}`);
    if (!this.#process.alive || this.#process.fenced.has(id)) return;
    for (let before = 0; before < step; before += 1) {
      const { ledger } = this.#world;
      const { applied } = ledger.entry({ id, step: before });
      if (applied === 0 && !ledger.isSkipped({ id, step: before }))
        this.#world.ledger.breach(`${id}: step ${step} before step ${before}`);
    }
  }

  #expectBackward(id: string, step: number): void {
    this.#expectOwned(id, `undo ${step}`);
    if (!this.#process.alive) return;
    const { ledger, shape } = this.#world;
    if ((this.#process.underWay.get(`${id}/${step}`) ?? 0) > 0) {
      ledger.breach(`${id}: undo ${step} while its step is under way`);
    }
    if (shape.pivot !== undefined && ledger.entry({ id, step: shape.pivot }).applied > 0) {
      ledger.breach(`${id}: undo ${step} after the pivot had its effect`);
    }
    for (let after = step + 1; after < shape.compensatable; after += 1) {
      const entry = ledger.entry({ id, step: after });
      const excused = shape.harmless.has(after) || ledger.isSkipped({ id, step: after });
      if (entry.live && !excused) ledger.breach(`${id}: undo ${step} before undo ${after}`);
    }
  }
}
