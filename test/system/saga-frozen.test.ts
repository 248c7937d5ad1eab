import Database from 'better-sqlite3';
import postgres from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { describeServer } from '../servers/describe-server.ts';
import { postgres as postgresServer } from '../servers/postgres.ts';
import { type CrashRecord, CrashStage, type CrashWorker, nothingWrong } from './saga-crash-stage.ts';

let stage: CrashStage | undefined;
afterEach(() => stage?.end());

type Records = readonly CrashRecord[];

/** A write as a worker heard of it. */
interface Write {
  readonly id: string;
  readonly epoch: number;
  readonly version: number;
}

function writesOf(worker: CrashWorker, what: 'wrote' | 'fenced'): Write[] {
  return worker.said(what).map((line) => {
    const [id = '', epoch, version] = line.split(' ');
    return { id, epoch: Number(epoch), version: Number(version) };
  });
}

/** Wait until it holds; resolves to false when it does not come to that in time. */
async function until(
  holds: () => boolean,
  worker: CrashWorker,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  let died = false;
  void worker.exited.then(() => {
    died = true;
  });
  for (let waited = 0; !holds(); waited += 10) {
    if (died) throw new Error(`a worker died: ${worker.errors}`);
    if (waited >= limit) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

/** Freeze one of two workers past its lease, several times, and look at every write. */
async function freeze(freezes: number, own: CrashStage, read: () => Promise<Records>): Promise<void> {
  const environment = { WRITES: '1' };
  const frozen = own.start('frozen', 'run', environment);
  await frozen.ready;
  const other = own.start('other', 'run', environment);
  await other.ready;
  for (let round = 0; round < freezes; ) {
    const begun = frozen.said('begun').length;
    await until(() => frozen.said('begun').length > begun + 5, frozen);
    const resumed = other.said('resumed').length;
    frozen.signal('SIGSTOP');
    // The other one takes over what the frozen one holds, unless that was stopped with a lock on a database.
    if (await until(() => other.said('resumed').length > resumed, other, 3_000)) round += 1;
    const again = frozen.said('begun').length;
    frozen.signal('SIGCONT');
    // Whatever it still had to write it has written, or tried to, when it is at work again.
    await until(() => frozen.said('begun').length > again + 3, frozen);
  }
  for (const worker of [frozen, other]) {
    await worker.kill();
    own.bury(worker);
  }
  await own.drain();
  expectFenced(frozen, other);
  const report = own.audit(await read());
  console.log({ freezes, fenced: writesOf(frozen, 'fenced').length, begun: own.begun, ...report });
  expect(report).toMatchObject(nothingWrong);
}

/** No version of a record was written twice, and none at an epoch when a newer one was there. */
function expectFenced(...workers: readonly CrashWorker[]): void {
  const written = workers.flatMap((worker) => writesOf(worker, 'wrote'));
  const seen = new Set<string>();
  const doubled = written.filter(({ id, version }) => seen.size === seen.add(`${id} ${version}`).size);
  expect(doubled).toEqual([]);
  const sorted = [...written].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : a.version - b.version));
  const backwards = sorted.filter((write, index) => {
    const before = sorted[index - 1];
    return before?.id === write.id && before.epoch > write.epoch;
  });
  expect(backwards).toEqual([]);
}

describe('a frozen worker', () => {
  it('writes nothing of what was taken over meanwhile, on SQLite', { timeout: 600_000 }, async () => {
    const own = new CrashStage();
    stage = own;
    await freeze(5, own, async () => {
      const journal = new Database(own.journal);
      const records = journal.prepare('SELECT id, status, reason FROM holdfast_sagas').all() as Records;
      journal.close();
      return records;
    });
  });
});

describeServer(postgresServer, (server) => {
  it('keeps a frozen worker from writing what was taken over', { timeout: 600_000 }, async () => {
    const own = new CrashStage(server().url.href);
    stage = own;
    await freeze(3, own, async () => {
      const client = new postgres.Client({ connectionString: server().url.href });
      await client.connect();
      const { rows } = await client.query('SELECT id, status, reason FROM holdfast_sagas');
      await client.end();
      return rows;
    });
  });
});
