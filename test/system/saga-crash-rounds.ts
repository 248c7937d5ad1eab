import { seededRandom } from '../../src/testing/test-runtime.ts';
import { type CrashStage, type CrashWorker, failpoints } from './saga-crash-stage.ts';

/** How often a worker is killed: at each failpoint in turn, and at random moments. */
export interface Rounds {
  readonly failpoints: number;
  readonly random: number;
}

/** As many as the environment says: `npm run soak -- saga` asks for 500 of each. */
export function roundsFromEnvironment(): Rounds {
  const given = process.env.ROUNDS === undefined ? undefined : Number(process.env.ROUNDS);
  return { failpoints: given ?? failpoints.length, random: given ?? 30 };
}

export const crashSeed: number =
  process.env.SEED === undefined ? Math.floor(Math.random() * 1e9) : Number(process.env.SEED);

/** What became of the workers. */
export interface Deaths {
  /** Killed themselves at their failpoint. */
  readonly atFailpoint: number;
  /** Were killed at a random moment, those among them that did not come to their failpoint in time. */
  readonly atRandom: number;
}

/** What a worker is started for: to kill itself, or to be killed after so many milliseconds. */
type Fate = { readonly failpoint: string } | { readonly after: number };

/** Longer than a worker needs to come to a failpoint that it comes to at all. */
const patience = 4_000;

function pause(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** Kill one worker after the other. Two are always there, so that one takes over from the other while it runs itself. */
export async function playRounds(stage: CrashStage, rounds: Rounds, seed: number): Promise<Deaths> {
  const random = seededRandom(seed);
  const fates = drawFates(rounds, random);
  let atFailpoint = 0;
  const start = (round: number): { worker: CrashWorker; fate: Fate } => {
    const fate = fates[round] ?? { after: 0 };
    const environment = 'failpoint' in fate ? { FAILPOINT: fate.failpoint } : {};
    return { worker: stage.start(`w${round}`, 'run', environment), fate };
  };
  let current = start(0);
  for (let round = 0; round < fates.length; round += 1) {
    const next = start(round + 1);
    if (await endOf(current.worker, current.fate)) atFailpoint += 1;
    stage.bury(current.worker);
    current = next;
  }
  await current.worker.kill();
  stage.bury(current.worker);
  await stage.drain();
  return { atFailpoint, atRandom: fates.length - atFailpoint };
}

function drawFates(rounds: Rounds, random: () => number): Fate[] {
  const fates: Fate[] = [];
  for (let round = 0; round < rounds.failpoints; round += 1) {
    const hits = 1 + Math.floor(random() * 8);
    fates.push({ failpoint: `${failpoints[round % failpoints.length]} ${hits}` });
  }
  for (let round = 0; round < rounds.random; round += 1) fates.push({ after: 20 + random() * 130 });
  // Mixed, so that both kinds meet.
  for (let at = fates.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [fates[at], fates[other]] = [fates[other]!, fates[at]!];
  }
  return fates;
}

/** See to it that it dies; whether it did so by itself. */
async function endOf(worker: CrashWorker, fate: Fate): Promise<boolean> {
  const exited = worker.exited.then(() => true);
  if ('failpoint' in fate) {
    const itself = await Promise.race([exited, pause(patience).then(() => false)]);
    await worker.kill();
    return itself;
  }
  // It may have died of something else, and then this throws with what it said.
  await worker.ready;
  await pause(fate.after);
  await worker.kill();
  return false;
}
