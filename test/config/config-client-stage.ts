import { z } from 'zod';
import { type MemoryConfig, memoryConfig } from '../../src/adapters/memory/config.ts';
import type { ConfigEvents } from '../../src/config/client-events.ts';
import type { ConfigClientOptions } from '../../src/config/client-options.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import type { ConfigContent, ConfigSource } from '../../src/ports/config-source.ts';
import { type TestRuntime, testRuntime } from '../../src/testing/test-runtime.ts';

export const schema = z.object({
  timeoutMs: z.number().max(10_000),
  db: z.object({ host: z.string(), poolSize: z.number().default(4) }),
  hosts: z.array(z.string()).default(['a']),
});
type Config = z.output<typeof schema>;

export const values = { timeoutMs: 100, db: { host: 'localhost' } };

type Heard = { [K in keyof ConfigEvents]: ConfigEvents[K][] };

interface Setup {
  readonly runtime: TestRuntime;
  readonly source: MemoryConfig;
  readonly client: ConfigClient<Config>;
  readonly heard: Heard;
}

export async function setup(options: Partial<ConfigClientOptions<Config>> = {}): Promise<Setup> {
  const runtime = testRuntime();
  const source = memoryConfig(values);
  const client = new ConfigClient({ schema, environment: 'dev', sources: [source], runtime, ...options });
  const heard = listen(client);
  await client.start();
  return { runtime, source, client, heard };
}

export function listen(client: ConfigClient<Config>): Heard {
  const heard: Heard = { changed: [], rejected: [], recovered: [], interrupted: [] };
  client.on('changed', (event) => heard.changed.push(event));
  client.on('rejected', (event) => heard.rejected.push(event));
  client.on('recovered', (event) => heard.recovered.push(event));
  client.on('interrupted', (event) => heard.interrupted.push(event));
  return heard;
}

/** A source whose loads are answered by hand. */
export function manualSource(): {
  source: ConfigSource;
  answer: (values: object) => void;
  waiting: () => number;
} {
  const pending: ((content: ConfigContent) => void)[] = [];
  return {
    source: { name: 'manual', load: () => new Promise((resolve) => pending.push(resolve)) },
    answer: (answered) => pending.shift()?.({ layers: [{ values: answered as never }], version: 'x' }),
    waiting: () => pending.length,
  };
}
