/** The journal of a worker: SQLite by the name of a file, Postgres by a URL. */
import Database from 'better-sqlite3';

export async function openStore(journal) {
  if (!journal.startsWith('postgres:')) {
    const { sqliteSagaStore } = await import('holdfast/adapters/sqlite');
    const database = new Database(journal);
    return { store: sqliteSagaStore({ database }), close: async () => void database.close() };
  }
  const { default: postgres } = await import('pg');
  const { postgresSagaStore } = await import('holdfast/adapters/postgres');
  const pool = new postgres.Pool({ connectionString: journal, max: 4, connectionTimeoutMillis: 2_000 });
  // A server that crashes ends idle connections, too.
  pool.on('error', () => {});
  return { store: postgresSagaStore({ client: pool }), close: () => pool.end() };
}
