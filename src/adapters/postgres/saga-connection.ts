import type { SagaRow } from '../internal/saga-row.ts';
import { isCollision, type PostgresClient, storeErrorOf } from './client.ts';
import type { SagaStatements } from './saga-statements.ts';

/** A row of an answer. */
export type AnswerRow = Readonly<Record<string, unknown>>;

/** The most often that a statement is made that did nothing for meeting another. */
const maxAttempts = 10;

/** A user's client, with the store's statements. */
export class SagaConnection {
  readonly #client: PostgresClient;
  readonly statements: SagaStatements;

  constructor(client: PostgresClient, statements: SagaStatements) {
    this.#client = client;
    this.statements = statements;
  }

  /** @throws StoreError, or InvalidPayloadError when the server does not take a value. */
  ask(statement: keyof SagaStatements, values: unknown[]): Promise<readonly AnswerRow[]> {
    return this.run(statement, this.statements[statement], values);
  }

  /** @throws StoreError, or InvalidPayloadError when the server does not take a value. */
  async run(operation: string, text: string, values?: unknown[]): Promise<readonly AnswerRow[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { rows } = await this.#client.query(text, values);
        return rows as readonly AnswerRow[];
      } catch (error) {
        if (attempt >= maxAttempts || !isCollision(error)) throw storeErrorOf(operation, error);
      }
    }
  }

  /** The row of this id. */
  async find(id: string): Promise<SagaRow | undefined> {
    if (id.includes('\0')) return undefined;
    const [row] = await this.run('get', `${this.statements.select} WHERE id = $1`, [id]);
    return row as unknown as SagaRow | undefined;
  }
}
