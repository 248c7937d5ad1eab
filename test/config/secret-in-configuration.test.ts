import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import debug from 'debug';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { envConfig } from '../../src/adapters/env.ts';
import { fileConfig } from '../../src/adapters/file/config.ts';
import { memoryConfig } from '../../src/adapters/memory/config.ts';
import { ConfigClient } from '../../src/config/config-client.ts';
import { secret } from '../../src/config/secret.ts';
import type { ConfigSource } from '../../src/ports/config-source.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';
import { canary, everyPrint } from './secret-prints.ts';

afterEach(() => {
  debug.disable();
  vi.restoreAllMocks();
});

describe('a secret in a configuration', () => {
  const schema = z.strictObject({
    size: z.number(),
    db: z.strictObject({ password: secret(z.string().min(5)), host: z.string() }),
    keys: z.array(secret()).default([]),
    users: z.record(z.string(), z.object({ token: secret().nullable() })).default({}),
  });

  it('is never seen in events, telemetry, logs, errors, explanations or the state', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-secret-'));
    const path = join(directory, 'orders.yaml');
    const lines: unknown[] = [];
    debug.enable('holdfast:*');
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => lines.push(String(chunk)) > 0);
    vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void lines.push(warning));
    const seen: unknown[] = [];
    const runtime = testRuntime();
    const env: Record<string, string> = { ORDERS_DB__PASSWORD: `${canary}-env` };
    const over = memoryConfig({});
    await writeFile(
      path,
      `size: 1\ndb: { host: h, password: ${canary}-file }\nkeys: [${canary}]\nusers: { u: { token: ${canary} } }\n`,
    );
    const sources: ConfigSource[] = [
      fileConfig(join(directory, 'orders')),
      envConfig({ prefix: 'ORDERS_', env }),
      over,
    ];
    const client = new ConfigClient({ schema, environment: 'dev', sources, interpolate: true, runtime });
    for (const event of ['changed', 'rejected', 'recovered', 'interrupted'] as const) {
      client.on(event, (payload) => seen.push(payload));
    }
    client.select(
      (c) => c.db.password,
      (now, before) => seen.push(now, before),
    );
    await client.start();
    const look = (): void => {
      const paths = [
        '(root)',
        'db',
        'db.password',
        'db.password.length',
        'keys',
        'keys.0',
        'users',
        'users.u.token',
        'extra',
      ];
      seen.push(
        client.state,
        client.current,
        paths.map((each) => client.explain(each)),
      );
    };
    look();

    const texts = [
      `size: 1\ndb: { host: h, password: ${canary}-two }\nkeys: []\nusers: { u: { token: null } }\n`,
      `size: 1\ndb: { host: h, password: "${canary}`,
      `size: 1\ndb:\n  host: h\n  password: *${canary}\n`,
      `size: 1\ndb:\n  host: h\n  password: !${canary}\n`,
      `size: 1\ndb:\n  host: h\n  password: {{ ${canary} }}\n`,
      `size: 1\ndb:\n  host: h\n  password: |${canary}\n`,
      `size: 1\ndb:\n  host: h\n  password: "\\q${canary}"\n`,
      `size: 1\ndb: { host: h, password: [${canary}] }`,
      `size: 1\ndb: { host: h, password: 'x', \${${canary}}: 1 }`,
      `size: 1\ndb: { host: h, password: "\${${canary}}" }`,
      canary,
    ];
    for (const text of texts) {
      await writeFile(path, text);
      env.ORDERS_DB__PASSWORD = `${canary}-${text.length}`;
      if (text !== texts[0]) delete env.ORDERS_DB__PASSWORD;
      await client.reload();
      look();
    }
    expect(client.state.stale).toBe(true);
    expect(client.state.version).toBe(3);
    over.set({ db: { password: { [canary.length]: canary } } });
    await client.reload();
    over.set({ keys: [{ password: canary }], db: { pasword: canary } });
    await client.reload();
    look();
    await client.stop();
    await writeFile(path, `{"size": 1, "db": {"password": "${canary}" "host": 1}}`);
    const json = join(directory, 'other.json');
    await writeFile(json, `{"size": 1, "db": {"password": ${canary}}}`);
    seen.push(
      await fileConfig(json)
        .load({ environment: 'dev' })
        .catch((error: unknown) => error),
    );
    seen.push(
      await fileConfig(path)
        .load({ environment: 'dev' })
        .catch((error: unknown) => error),
    );
    await rm(directory, { recursive: true });

    expect(seen.length).toBeGreaterThan(20);
    expect(lines.length).toBeGreaterThan(5);
    const places = [...seen, ...lines, runtime.events];
    const leaks = places
      .map(everyPrint)
      .flatMap((print) => print.split('\n').filter((line) => line.includes(canary)));
    // The name of a key is no value: a misplaced one has to be named, or nobody could find it.
    expect(leaks.filter((line) => !line.includes(`\${${canary}}`))).toEqual([]);
    expect(client.current.db.password.reveal()).toContain(canary);
  });

  it('shows changes of secrets only as such', async () => {
    const source = memoryConfig({ size: 1, db: { host: 'h', password: 'first' }, keys: ['a'] });
    const client = await new ConfigClient({ schema, environment: 'dev', sources: [source] }).start();
    const changes: unknown[] = [];
    client.on('changed', (event) => changes.push(...event.changes));
    source.set({
      size: 1,
      db: { host: 'h', password: 'other' },
      keys: ['a', 'b'],
      users: { u: { token: 'x' } },
    });
    await client.reload();
    expect(changes).toEqual([
      { path: 'db.password', before: '[secret]', after: '[secret]' },
      { path: 'keys', before: ['[secret]'], after: ['[secret]', '[secret]'] },
      { path: 'users.u', before: undefined, after: { token: '[secret]' } },
    ]);
    await client.stop();
  });

  it('is not shown by explain where another layer took the secret away', async () => {
    const client = await new ConfigClient({
      schema: z.object({
        token: secret().nullable(),
        pin: secret(),
        list: z.array(secret()),
        open: z.array(z.string()),
        ttl: z.string().transform(Number),
      }),
      environment: 'dev',
      sources: [
        memoryConfig(
          { token: canary, pin: canary, list: [canary], open: ['a'], ttl: '5', stripped: canary },
          { name: 'low' },
        ),
        memoryConfig(
          { token: null, pin: canary + canary, list: [], open: ['b', 'c'], ttl: '6' },
          { name: 'high' },
        ),
      ],
    }).start();
    const below = (path: string): unknown => client.explain(path).overridden[0]?.value;
    expect([below('token'), below('list'), below('open'), below('ttl')]).toEqual([
      '[withheld]',
      '[withheld]',
      ['a'],
      '5',
    ]);
    expect(client.explain('token').value).toBeNull();
    expect(client.explain('pin')).toMatchObject({ value: '[secret]', overridden: [{ value: '[secret]' }] });
    expect(client.explain('stripped')).toMatchObject({ value: undefined, source: 'low' });
    expect(everyPrint(client.explain('(root)'))).not.toContain(canary);
  });
});
