import { createHash } from 'node:crypto';
import type { SagaRow } from '../internal/saga-row.ts';
import { isCollision, type NamedStatement, type PostgresClient, storeErrorOf } from './client.ts';
import type { SagaStatements } from './saga-statements.ts';

/** A row of an answer. */
export type AnswerRow = Readonly<Record<string, unknown>>;

/** The most often that a statement is made that did nothing for meeting another. */
const maxAttempts = 10;

/**
 * What is worth a name: statements that are made again and again and whose plan depends neither on their values nor on
 * the size of the table. That of a claim does, and that of an update of many rows: planned when the table was small, it
 * would go on reading all of it.
 */
const worthPreparing: readonly (keyof SagaStatements)[] = [
  'create',
  'createOne',
  'createLeased',
  'createOneLeased',
  'updateOne',
  'request',
  'heartbeat',
];

type Ask = (text: string, values?: unknown[]) => Promise<{ readonly rows: readonly unknown[] }>;

/** A user's client, with the store's statements. */
export class SagaConnection {
  readonly #query: Ask;
  readonly statements: SagaStatements;

  constructor(client: PostgresClient, statements: SagaStatements, prepare: boolean) {
    this.#query = prepare ? preparing(client, statements) : (text, values) => client.query(text, values);
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
        const { rows } = await this.#query(text, values);
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

function preparing(client: PostgresClient, statements: SagaStatements): Ask {
  const named = client as unknown as { query(statement: NamedStatement): ReturnType<Ask> };
  // Of its text, since several stores may share the connections.
  const nameOf = (text: string): string =>
    `holdfast_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  const names = new Map(worthPreparing.map((key) => [statements[key], nameOf(statements[key])]));
  return (text, values) => {
    const name = names.get(text);
    return name === undefined
      ? client.query(text, values)
      : named.query({ name, text, values: values ?? [] });
  };
}
