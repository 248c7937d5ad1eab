import { expect, it } from 'vitest';
import { sqliteSagaStore } from '../../src/adapters/sqlite/saga-store.ts';
import { SagaConflictError, SagaParkedError } from '../../src/core/errors.ts';
import { SagaRunner } from '../../src/saga/runner.ts';
import { saga } from '../../src/saga/saga.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { openSqlite } from '../conformance/sqlite-drivers.ts';
import { Order } from './runner-stage.ts';

const plain = saga('plain', { input: Order }).step('only', () => 1, { undo: 'nothing' });
const opening = saga('opening', { input: Order }).step('only', () => 1, {
  undo: 'nothing',
  when: () => true,
});

it.each([
  ['plain', plain],
  ['with something to fix before it is written', opening],
])('a saga whose record cannot be decoded is joined as parked: %s', async (_, definition) => {
  const runtime = testRuntime();
  const database = openSqlite(':memory:');
  const store = sqliteSagaStore({ database, runtime });
  const sagas = await new SagaRunner({ store, sagas: [plain, opening], runtime }).start();
  await runtime.clock.settle(sagas.run(definition, { sku: 'a' }, { id: 'x' }));
  database.prepare('UPDATE holdfast_sagas SET input = ?').run('{"sku');
  expect(await sagas.begin(definition, { sku: 'a' }, { id: 'x' })).toEqual({ id: 'x', created: false });
  const joined = runtime.clock.settle(sagas.run(definition, { sku: 'b' }, { id: 'x' }));
  await expect(joined).rejects.toBeInstanceOf(SagaParkedError);
  await expect(joined).rejects.toThrow('the stored record cannot be decoded');
  const other = definition === plain ? opening : plain;
  await expect(sagas.begin(other, { sku: 'a' }, { id: 'x' })).rejects.toBeInstanceOf(SagaConflictError);
  await sagas.stop();
  database.close();
});
