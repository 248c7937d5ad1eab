/** One true round trip with each server, over its own protocol and without its driver. */
import { execFile } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { openAmqp } from './amqp-handshake.ts';
import { Conversation } from './conversation.ts';
import { describeServer } from './describe-server.ts';
import { etcd } from './etcd.ts';
import { findBinary } from './find-binary.ts';
import { knot, setRecords, zone } from './knot.ts';
import { nats } from './nats.ts';
import { postgres } from './postgres.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';
import type { Server } from './server.ts';
import { until } from './until.ts';

const open: Conversation[] = [];
afterEach(() => {
  for (const conversation of open.splice(0)) conversation.close();
});

async function converse(server: Server): Promise<Conversation> {
  const conversation = await Conversation.open(server.url);
  open.push(conversation);
  return conversation;
}

/** Keys and tables of a server that others use too must not collide. */
const unique = `holdfast-smoke-${process.pid}`;

describeServer(redis, (server) => {
  const command = (...words: string[]): string =>
    `*${words.length}\r\n${words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join('')}`;

  it('sets, gets and deletes a value that is not ASCII', async () => {
    const conversation = await converse(server());
    const { username, password } = server().url;
    if (password !== '') {
      conversation.say(command('AUTH', ...(username ? [username] : []), decodeURIComponent(password)));
      expect(await conversation.hear(/\r\n/)).toBe('+OK\r\n');
    }
    conversation.say(command('SET', unique, 'kelp 🌿', 'PX', '60000'));
    expect(await conversation.hear(/\r\n/)).toBe('+OK\r\n');
    conversation.say(command('GET', unique));
    expect(await conversation.hear(/\r\n.*\r\n/)).toBe('$9\r\nkelp 🌿\r\n');
    conversation.say(command('DEL', unique));
    expect(await conversation.hear(/\r\n/)).toBe(':1\r\n');
  });
});

describeServer(postgres, (server) => {
  /** Each statement in a transaction of its own, all over one connection. */
  const query = async (...statements: string[]): Promise<string> => {
    const psql = findBinary(postgres, 'psql');
    if (psql === undefined) throw new Error('psql is not installed: apt-get install postgresql-client');
    const options = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', server().url.href];
    const { stdout } = await promisify(execFile)(psql, [...options, ...statements.flatMap((s) => ['-c', s])]);
    return stdout.trim();
  };

  it('rolls back what was not committed', async () => {
    const ledger = [
      'create temporary table ledger (cents integer not null check (cents >= 0))',
      'insert into ledger values (100)',
    ];
    expect(await query(...ledger, 'begin', 'update ledger set cents = 1', 'rollback', 'table ledger')).toBe(
      '100',
    );
    await expect(query(...ledger, 'insert into ledger values (-1)')).rejects.toThrow(
      'violates check constraint',
    );
  });

  it.skipIf(process.env.DATABASE_URL)('keeps what was committed through a crash', async () => {
    await query('create table survivor (name text)', "insert into survivor values ('kelp')");
    await server().crash();
    await expect(query('select 1')).rejects.toThrow();
    await server().restart();
    expect(await query('select name from survivor')).toBe('kelp');
  });
});

describeServer(etcd, (server) => {
  const call = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const response = await fetch(new URL(path, server().url), { method: 'POST', body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  };
  const key = Buffer.from(unique).toString('base64');

  it('puts, reads back at a revision, and deletes', async () => {
    const value = Buffer.from('kelp').toString('base64');
    const put = (await call('/v3/kv/put', { key, value })) as { header: { revision: string } };
    const { kvs } = (await call('/v3/kv/range', { key })) as { kvs: object[] };
    expect(kvs).toEqual([expect.objectContaining({ key, value, mod_revision: put.header.revision })]);
    expect(await call('/v3/kv/deleterange', { key })).toMatchObject({ deleted: '1' });
  });
});

describeServer(nats, (server) => {
  /** Connect, and ask `subject`; what comes back in the inbox. */
  const request = async (subject: string, payload: string): Promise<string> => {
    const conversation = await converse(server());
    expect(await conversation.hear(/\r\n/)).toMatch(/^INFO \{.*"jetstream":true/);
    const { username: user, password: pass } = server().url;
    const options = {
      verbose: false,
      pedantic: false,
      lang: 'node',
      version: '0',
      ...(user && { user, pass }),
    };
    conversation.say(`CONNECT ${JSON.stringify(options)}\r\nSUB inbox.${unique} 1\r\n`);
    conversation.say(`PUB ${subject} inbox.${unique} ${payload.length}\r\n${payload}\r\n`);
    return conversation.hear(/MSG .*\r\n.*\r\n/);
  };

  it('delivers a message to a subscriber', async () => {
    expect(await request(`inbox.${unique}`, 'kelp')).toBe(
      `MSG inbox.${unique} 1 inbox.${unique} 4\r\nkelp\r\n`,
    );
  });

  it('has JetStream', async () => {
    const answer = await request('$JS.API.INFO', '');
    expect(answer).toContain('io.nats.jetstream.api.v1.account_info_response');
    expect(answer).not.toContain('"error"');
  });
});

describeServer(rabbitmq, (server) => {
  it('opens an AMQP 0-9-1 connection to its virtual host', async () => {
    const conversation = await converse(server());
    expect(await openAmqp(conversation, server().url)).toMatchObject({ product: 'RabbitMQ' });
  });
});

describeServer(knot, (server) => {
  const lookUp = (): ReturnType<Resolver['resolveSrv']> => {
    const resolver = new Resolver({ timeout: 2_000, tries: 2 });
    resolver.setServers([server().url.host]);
    return resolver.resolveSrv(`_api._tcp.${zone}`);
  };

  it('answers SRV queries', async () => {
    expect(await lookUp()).toEqual([{ name: `a.${zone}`, port: 8081, priority: 1, weight: 10 }]);
  });

  it.skipIf(process.env.DNS_SERVER)('shows changed records to the next query', async () => {
    await setRecords(server(), '_api._tcp', 'SRV', ['1 10 8081 a', '1 30 8082 a']);
    await until(async () => (await lookUp()).length === 2, 'the second record being visible');
  });
});
