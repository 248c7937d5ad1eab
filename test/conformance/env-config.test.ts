import { describe, it } from 'vitest';
import { envConfig } from '../../src/adapters/env.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { configSourceConformance } from '../../src/testing/conformance/config-source.ts';

const immutable = 'nobody can change the variables of a running process from outside';

configSourceConformance({
  api: { describe, it },
  name: 'env',
  create: async (values) => {
    const env: Record<string, string> = { PATH: '/bin', ORDERSX: 'not ours' };
    const write = async (next: JsonObject): Promise<void> => {
      for (const name of Object.keys(env)) if (name.startsWith('ORDERS_')) delete env[name];
      for (const [key, value] of Object.entries(next)) {
        env[`ORDERS_${key}`] = typeof value === 'string' ? value : JSON.stringify(value);
      }
    };
    await write(values);
    return {
      source: envConfig({ prefix: 'ORDERS_', env }),
      write,
      damage: async () => void Object.assign(env, { ORDERS_DB: '5', ORDERS_DB__HOST: 'localhost' }),
      pollute: async () => void Object.assign(env, { ORDERS_x____proto____polluted: 'true' }),
      close: async () => {},
    };
  },
  except: {
    'yields after a change': immutable,
    'remembers a change that came while nobody awaited': immutable,
    'yields when what it reads is damaged, and when it is whole again': immutable,
    'ends quietly when the signal aborts': immutable,
  },
});
