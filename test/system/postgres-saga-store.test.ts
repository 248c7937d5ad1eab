import { describe, it } from 'vitest';
import { sagaStoreConformance } from '../../src/testing/conformance/saga-store.ts';
import { describeServer } from '../servers/describe-server.ts';
import { postgres } from '../servers/postgres.ts';
import { sagasInPostgres } from './saga-store-postgres.ts';

describeServer(postgres, (server) => {
  sagaStoreConformance({ describe, it, name: 'Postgres', open: () => sagasInPostgres(server()) });
});
