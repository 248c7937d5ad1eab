import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidOptionsError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import type { Saga } from '../saga/saga-phases.ts';

/**
 * The definition of a record's shape among what a module exports: sagas, or arrays of them.
 *
 * @throws InvalidOptionsError when the module cannot be loaded or does not have it.
 */
export async function definitionOf(file: string, record: SagaRecord): Promise<Saga> {
  const sagas = await sagasOf(file);
  const found = sagas.find(({ name, hash }) => name === record.saga && hash === record.hash);
  if (found !== undefined) return found;
  const exported = sagas.map(({ name, hash }) => `${name} of shape ${hash}`).join(', ') || 'no saga';
  throw refusal(
    file,
    `it exports ${exported}`,
    `a module that exports ${record.saga} of shape ${record.hash}`,
  );
}

async function sagasOf(file: string): Promise<readonly Saga[]> {
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
  } catch (error) {
    throw refusal(
      file,
      `it cannot be loaded: ${messageOf(error)}`,
      'a JavaScript module that exports the sagas',
    );
  }
  return Object.values(module).flat().filter(isSaga);
}

function isSaga(value: unknown): value is Saga {
  const plan = (value as Partial<Saga> | null | undefined)?.definition?.plan;
  return Array.isArray(plan?.steps) && typeof (value as Saga).hash === 'string';
}

function refusal(file: string, why: string, accepts: string): InvalidOptionsError {
  const received = `${JSON.stringify(file)} (${why})`;
  return new InvalidOptionsError('command line', [{ field: '--sagas', received, accepts }]);
}
