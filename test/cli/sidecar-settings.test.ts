import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mergeSettings, readSettings, settingsOf } from '../../src/cli/sidecar-settings.ts';
import { ConfigSourceError, InvalidPayloadError } from '../../src/core/errors.ts';

describe('settingsOf', () => {
  it('holds what was given and nothing else', () => {
    expect(settingsOf({}, [])).toEqual({});
    expect(
      settingsOf({ app: 'payments', appPort: 3000, listen: 0, retries: 2, timeout: '2s' }, [
        'node',
        'app.js',
      ]),
    ).toEqual({
      app: { name: 'payments', port: 3000, command: ['node', 'app.js'] },
      inbound: { port: 0 },
      policies: { timeout: '2s', retry: { attempts: 3 } },
    });
  });

  it('takes no retries for no retry at all', () => {
    expect(settingsOf({ retries: 0 }, [])).toEqual({ policies: { retry: false } });
  });
});

describe('mergeSettings', () => {
  it('lets the second one win, key by key; lists are replaced', () => {
    const file = { app: { name: 'a', port: 1, command: ['x', 'y'] }, policies: { retry: false }, ttl: '5s' };
    const flags = { app: { port: 2, command: ['z'] }, policies: { retry: { attempts: 3 } } };
    expect(mergeSettings(file, flags)).toEqual({
      app: { name: 'a', port: 2, command: ['z'] },
      policies: { retry: { attempts: 3 } },
      ttl: '5s',
    });
  });
});

describe('readSettings', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };

  it('reads YAML and JSON', async () => {
    const expected = { app: { name: 'payments', port: 3000 } };
    expect(await readSettings(await file('s.yaml', 'app: { name: payments, port: 3000 }'))).toEqual(expected);
    expect(await readSettings(await file('s.json', JSON.stringify(expected)))).toEqual(expected);
    expect(await readSettings(await file('empty.yaml', ''))).toEqual({});
  });

  it('says what is wrong with a file', async () => {
    await expect(readSettings(join(directory, 'none.yaml'))).rejects.toBeInstanceOf(ConfigSourceError);
    await expect(readSettings(await file('list.yaml', '- a'))).rejects.toThrow('object of settings');
    await expect(readSettings(await file('bad.yaml', 'a: [1'))).rejects.toBeInstanceOf(InvalidPayloadError);
    await expect(readSettings(await file('bad.json', '{"__proto__": {}}'))).rejects.toBeInstanceOf(
      InvalidPayloadError,
    );
  });
});
