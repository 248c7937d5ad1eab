import type { SagaStore } from '../../ports/saga-store.ts';
import { type Life, silence } from './life.ts';

/** What can go wrong with one call to a store or a participant. */
export type CallFault =
  /** The process dies before the call goes out. */
  | 'crash before'
  /** The call had its effect, and the process dies before it hears of it. */
  | 'crash after'
  /** The call fails, and had no effect. */
  | 'error before'
  /** The call had its effect, and fails. */
  | 'answer lost'
  /** The process is frozen for so long, and the call goes out then. */
  | { readonly freezeFor: number }
  /** The call is so long under way. */
  | { readonly requestAfter: number }
  /** Its answer is. */
  | { readonly answerAfter: number };

/** What the world has to say to the calls of its processes. */
export interface CallWorld {
  /** Let so much time pass, in milliseconds. */
  pass(duration: number): Promise<void>;
  /** What goes wrong with this call; undefined for nothing. */
  storeFault(life: Life, operation: string, id: string): CallFault | undefined;
}

/** Hears what a store really did, and what of it reached the process that asked. */
export interface StoreWitness {
  /** At the store. */
  did(life: Life, operation: string, asked: unknown, answer: unknown): void;
  /** At the process, so many milliseconds after it asked. */
  heard(life: Life, operation: string, asked: unknown, answer: unknown, after: number): void;
}

/** A store as one process sees it: its calls may crash before or after, fail, lose their answer or be late. */
export function faultyStore(
  store: SagaStore,
  life: Life,
  world: CallWorld,
  witness: StoreWitness,
): SagaStore {
  const call = <T>(operation: string, id: string, asked: unknown, work: () => Promise<T>): Promise<T> => {
    const askedAt = life.clock.now();
    const made: Call<T> = { life, world, witness, operation, id, asked, askedAt, work };
    return life.isAwake ? send(made) : life.awake().then(() => send(made));
  };
  return {
    name: store.name,
    durability: store.durability,
    start: () => call('start', '', undefined, () => store.start()),
    create: (saga, lease) => call('create', saga.id, saga, () => store.create(saga, lease)),
    update: (record) => call('update', record.id, record, () => store.update(record)),
    request: (id, request) => call('request', id, { id, request }, () => store.request(id, request)),
    claim: (request, lease) => call('claim', '', request, () => store.claim(request, lease)),
    take: (id, lease) => call('take', id, id, () => store.take(id, lease)),
    heartbeat: (lease) => call('heartbeat', '', lease, () => store.heartbeat(lease)),
    release: (owner) => call('release', '', owner, () => store.release(owner)),
    get: (id) => call('get', id, id, () => store.get(id)),
    list: (query) => call('list', '', query, () => store.list(query)),
    census: () => call('census', '', undefined, () => store.census()),
    purge: (endedBefore, limit) => call('purge', '', endedBefore, () => store.purge(endedBefore, limit)),
    close: () => store.close(),
  };
}

/** One call of a process to its store. */
interface Call<T> {
  readonly life: Life;
  readonly world: CallWorld;
  readonly witness: StoreWitness;
  readonly operation: string;
  readonly id: string;
  readonly asked: unknown;
  /** Also when the process was frozen then, and the call went out late. */
  readonly askedAt: number;
  readonly work: () => Promise<T>;
}

/** It goes out. Of most calls nothing goes wrong, and there are millions: those take as few promises as they can. */
function send<T>(call: Call<T>): Promise<T> {
  const { life, world, witness, operation, id, asked, askedAt, work } = call;
  const did = (answer: T): T => {
    witness.did(life, operation, asked, answer);
    return answer;
  };
  const heard = (answer: T): T => {
    witness.heard(life, operation, asked, answer, life.clock.now() - askedAt);
    return answer;
  };
  const arrive = (answer: T): T | Promise<T> =>
    life.isAwake ? heard(answer) : life.awake().then(() => heard(answer));
  try {
    const fault = world.storeFault(life, operation, id);
    if (fault === undefined) return work().then((answer) => arrive(did(answer)));
    return withFault(life, world, fault, () => work().then(did)).then(arrive);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Make one call of a process go wrong in this way. */
export async function withFault<T>(
  life: Life,
  world: Pick<CallWorld, 'pass'>,
  fault: CallFault,
  work: () => Promise<T>,
): Promise<T> {
  if (fault === 'crash before') {
    life.kill();
    return silence();
  }
  if (fault === 'error before') throw new Error('nothing is reached there');
  if (typeof fault === 'object') await delay(life, world, fault);
  const answer = await work();
  if (fault === 'crash after') life.kill();
  if (fault === 'answer lost') {
    if (!life.isAwake) await life.awake();
    throw new Error('the connection was reset');
  }
  if (typeof fault === 'object' && 'answerAfter' in fault) await world.pass(fault.answerAfter);
  if (!life.isAwake) await life.awake();
  return answer;
}

async function delay(
  life: Life,
  world: Pick<CallWorld, 'pass'>,
  fault: Exclude<CallFault, string>,
): Promise<void> {
  if ('requestAfter' in fault) await world.pass(fault.requestAfter);
  if (!('freezeFor' in fault)) return;
  life.freeze(fault.freezeFor);
  await life.awake();
}
