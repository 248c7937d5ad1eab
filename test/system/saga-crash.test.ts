import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { playRounds, roundsFromEnvironment, crashSeed as seed } from './saga-crash-rounds.ts';
import { type CrashRecord, CrashStage, nothingWrong } from './saga-crash-stage.ts';

const rounds = roundsFromEnvironment();
const stage = new CrashStage();

afterAll(() => stage.end());

describe('sagas on SQLite under kill -9', () => {
  it(`lose nothing and double nothing (SEED=${seed})`, { timeout: 3_600_000 }, async () => {
    const start = performance.now();
    const deaths = await playRounds(stage, rounds, seed);
    const journal = new Database(stage.journal);
    const records = journal.prepare('SELECT id, status, reason FROM holdfast_sagas').all();
    journal.close();
    const report = stage.audit(records as CrashRecord[]);
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
    expect(stage.resumed).toBeGreaterThan(rounds.random / 2);
    expect(report.cancels).toBeGreaterThan(0);
  });
});
