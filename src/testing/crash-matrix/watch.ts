import type { SagaRecord, SagaStatus, StepRecord } from '../../ports/saga-store.ts';
import type { StoreWitness } from './faulty-store.ts';
import type { Life } from './life.ts';

const finals: readonly SagaStatus[] = ['completed', 'compensated', 'resolved'];

/** Whether a saga waits for nobody but a person, or for nothing at all. */
export function isOver(status: SagaStatus): boolean {
  return status === 'parked' || finals.includes(status);
}

/** What a participant answered, whoever heard it. */
export interface Answers {
  /** Whether the step's function, or its undo, ever returned. */
  has(step: string, operation: 'do' | 'undo'): boolean;
}

/**
 * Watches one saga's journal and holds it to the rules of every saga: what is written is true, by whoever holds it, and
 * in one direction.
 */
export class Watch implements StoreWitness {
  readonly breaches: string[] = [];
  record: SagaRecord | undefined;
  #turned = false;
  readonly #pivot: string | undefined;
  readonly #answers: Answers;
  readonly #note: (life: Life, what: string) => void;

  constructor(pivot: string | undefined, answers: Answers, note: (life: Life, what: string) => void) {
    this.#pivot = pivot;
    this.#answers = answers;
    this.#note = note;
  }

  breach(text: string): void {
    this.breaches.push(text);
  }

  did(life: Life, operation: string, asked: unknown, answer: unknown): void {
    if (operation === 'create') {
      const { created, record } = answer as { readonly created: boolean; readonly record: SagaRecord };
      if (created) this.#keep(life, record);
    } else if (operation === 'update') this.#update(life, asked as SagaRecord, answer);
    else if (operation === 'claim') this.#claim(life, answer as readonly SagaRecord[]);
  }

  heard(): void {}

  #claim(life: Life, records: readonly SagaRecord[]): void {
    for (const record of records) {
      this.#note(life, `holds it at epoch ${record.epoch}`);
      this.record = record;
    }
  }

  #update(life: Life, record: SagaRecord, answer: unknown): void {
    const before = this.record;
    if (!answer || before === undefined) {
      this.#note(life, `its write at epoch ${record.epoch} was fenced off`);
      return;
    }
    const { status } = record;
    if (record.epoch < before.epoch) this.breach(`epoch ${record.epoch} wrote over epoch ${before.epoch}`);
    if (finals.includes(before.status)) this.breach(`${before.status} became ${status}`);
    if (this.#turned && (status === 'running' || status === 'waiting' || status === 'completed')) {
      this.breach(`it had turned back, and became ${status}`);
    }
    if (status === 'compensating' || status === 'compensated') this.#turn(before);
    for (const step of record.steps) this.#step(before, step);
    this.#keep(life, { ...record, version: record.version + 1 });
  }

  #turn(before: SagaRecord): void {
    this.#turned = true;
    const pivot = before.steps.find(({ name }) => name === this.#pivot);
    if (pivot?.status === 'done') this.breach(`it turned back after its pivot ${pivot.name}`);
  }

  #step(before: SagaRecord, { name, status, skipped }: StepRecord): void {
    const was = before.steps.find((step) => step.name === name)?.status;
    if (was === status || skipped) return;
    if (status === 'done' && !this.#answers.has(name, 'do')) {
      this.breach(`${name} is written down as done before it is done`);
    }
    if (status === 'undone' && !this.#answers.has(name, 'undo')) {
      this.breach(`${name} is written down as undone before it is undone`);
    }
  }

  #keep(life: Life, record: SagaRecord): void {
    this.record = record;
    const steps = record.steps.map((step) => `${step.name} ${step.status}`).join(', ');
    this.#note(life, `wrote: ${record.status}${steps === '' ? '' : ` (${steps})`}`);
  }
}
