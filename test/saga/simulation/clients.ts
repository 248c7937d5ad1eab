/** Those who begin sagas, send them signals and cancel them: each asks again until it is answered. */
import type { SagaBook } from './books.ts';
import type { Worker } from './worker.ts';
import type { World } from './world.ts';

/** The parts of a runner that clients use, whatever their types. */
interface Face {
  signal(id: string, name: string, payload: unknown, options: { id: string }): Promise<unknown>;
  cancel(id: string, options: object): Promise<{ outcome: 'accepted' | 'tooLate'; status?: string }>;
}

export class Clients {
  readonly #world: World;
  readonly workers: readonly Worker[];

  constructor(world: World, workers: readonly Worker[]) {
    this.#world = world;
    this.workers = workers;
  }

  /** Begin one saga and do what its clients do. */
  async serve(book: SagaBook): Promise<void> {
    const { random } = this.#world;
    this.#world.pending += 1;
    await this.#world.pass(random() * 5_000);
    void this.#more(book);
    await this.#until(
      book,
      ({ runner, saga }) => runner.begin(saga, { n: book.n }, { id: book.id }),
      () => false,
    );
    this.#world.pending -= 1;
  }

  async #more(book: SagaBook): Promise<void> {
    const { random, places } = this.#world;
    for (const place of places.values()) {
      if (place.type !== 'wait') continue;
      const most = random();
      const times = most < 0.15 && !place.endless ? 0 : most < 0.4 ? 2 : 1;
      for (let time = 0; time < times; time += 1) void this.signal(book, place.name, time);
    }
    if (random() < 0.12) void this.#cancel(book);
  }

  /** Send a signal until it is taken. */
  async signal(book: SagaBook, name: string, time: number): Promise<void> {
    const { random } = this.#world;
    this.#world.pending += 1;
    await this.#world.pass(random() * 10_000);
    // Twice with one id, now and then: it counts once.
    const id = `${name}-${time}`;
    const payload = { from: id };
    const copies = random() < 0.2 ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      await this.#until(
        book,
        ({ runner }) => (runner as unknown as Face).signal(book.id, name, payload, { id }),
        isFinal,
      );
    }
    this.#world.pending -= 1;
  }

  async #cancel(book: SagaBook): Promise<void> {
    const { random } = this.#world;
    this.#world.pending += 1;
    await this.#world.pass(random() * 8_000);
    const times = random() < 0.2 ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      await this.#until(
        book,
        async ({ runner }) => {
          const options = { reason: 'changed my mind', by: 'client', timeout: 5_000 };
          const { outcome } = await (runner as unknown as Face).cancel(book.id, options);
          this.#world.count(`cancel: ${outcome}`);
          book.answers.push(outcome);
        },
        isFinal,
      );
    }
    this.#world.pending -= 1;
  }

  /** Ask one process after another, each as long as it lives, until one answers or says something final. */
  async #until(
    book: SagaBook,
    ask: (worker: Worker) => Promise<unknown>,
    gaveUp: (error: unknown) => boolean,
  ): Promise<void> {
    const { random } = this.#world;
    for (;;) {
      const worker = this.workers[Math.floor(random() * this.workers.length)]!;
      // An answer may be late: that there is no saga was true when it was asked.
      const wasThere = book.record !== undefined;
      const over = ask(worker).then(
        () => true,
        (error) => {
          this.#world.count(`client: ${error?.name}`);
          return wasThere && gaveUp(error);
        },
      );
      if (await worker.process.hear(over)) return;
      await this.#world.pass(100);
    }
  }
}

/** What asking again does not change. */
function isFinal(error: unknown): boolean {
  const name = (error as Error | undefined)?.name ?? '';
  return !['StoreError', 'TimeoutError', 'NotRunningError'].includes(name);
}
