import postgres from 'pg';
import { afterEach, expect, it } from 'vitest';
import { describeServer } from '../servers/describe-server.ts';
import { postgres as postgresServer } from '../servers/postgres.ts';
import { playRounds, roundsFromEnvironment, crashSeed as seed } from './saga-crash-rounds.ts';
import { type CrashRecord, CrashStage, nothingWrong } from './saga-crash-stage.ts';

const rounds = roundsFromEnvironment();
const crashes = process.env.CRASHES === undefined ? 5 : Number(process.env.CRASHES);

let stage: CrashStage | undefined;
afterEach(() => stage?.end());

function pause(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** Every record of a database of its own, which no other test shares. */
async function recordsOf(url: string): Promise<CrashRecord[]> {
  const client = new postgres.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query('SELECT id, status, reason FROM holdfast_sagas');
  await client.end();
  return rows;
}

async function newDatabase(server: URL, name: string): Promise<string> {
  const client = new postgres.Client({ connectionString: server.href });
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return Object.assign(new URL(server), { pathname: `/${name}` }).href;
}

describeServer(postgresServer, (server) => {
  it(`loses and doubles no saga under kill -9 (SEED=${seed})`, { timeout: 3_600_000 }, async () => {
    const start = performance.now();
    const url = await newDatabase(server().url, 'killed');
    stage = new CrashStage(url);
    const deaths = await playRounds(stage, rounds, seed);
    const report = stage.audit(await recordsOf(url));
    const seconds = Math.round((performance.now() - start) / 1_000);
    console.log(`SEED=${seed}`, {
      ...deaths,
      begun: stage.begun,
      resumed: stage.resumed,
      ...report,
      seconds,
    });
    expect(report).toMatchObject(nothingWrong);
    expect(deaths.atFailpoint).toBeGreaterThan(rounds.failpoints / 2);
    expect(report.cancels).toBeGreaterThan(0);
  });

  it(`loses and doubles no saga when the server crashes ${crashes} times`, {
    timeout: 3_600_000,
  }, async () => {
    const start = performance.now();
    const url = await newDatabase(server().url, 'crashed');
    stage = new CrashStage(url);
    const workers = [stage.start('a'), stage.start('b')];
    await Promise.all(workers.map((worker) => worker.ready));
    for (let crash = 0; crash < crashes; crash += 1) {
      const before = workers.flatMap((worker) => worker.said('begun')).length;
      // As `pg_ctl stop -m immediate` does it.
      await server().crash();
      await pause(100);
      await server().restart();
      await until(() => workers.flatMap((worker) => worker.said('begun')).length > before + 20, workers);
    }
    for (const worker of workers) {
      await worker.kill();
      stage.bury(worker);
    }
    await stage.drain();
    const report = stage.audit(await recordsOf(url));
    const seconds = Math.round((performance.now() - start) / 1_000);
    console.log({ crashes, begun: stage.begun, resumed: stage.resumed, ...report, seconds });
    expect(report).toMatchObject(nothingWrong);
  });
});

async function until(
  holds: () => boolean,
  workers: readonly { readonly exited: Promise<unknown>; readonly errors: string }[],
): Promise<void> {
  let died = false;
  for (const worker of workers) void worker.exited.then(() => (died = true));
  while (!holds()) {
    if (died) throw new Error(`a worker died: ${workers.map((worker) => worker.errors).join('\n')}`);
    await pause(20);
  }
}
