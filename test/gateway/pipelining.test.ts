import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import {
  closeAfterEach,
  listening,
  onCleanup,
  pause,
  raw,
  rawUpstream,
  type TestUpstream,
  until,
  upstream,
} from './support.ts';

closeAfterEach();

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

const upgrade = (path: string, protocol = 'websocket'): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nUpgrade: ${protocol}\r\nConnection: upgrade\r\n\r\n`;

/** What was answered, in order. */
const answers = (text: string): string[] => text.match(/answer of \/[a-z]+\d*/g) ?? [];

/** Answers each request with its path, as soon as it is let go; `/now…` is never held. */
async function holding(): Promise<TestUpstream & { readonly arrived: string[]; letGo(): void }> {
  const held: (() => void)[] = [];
  const arrived: string[] = [];
  const server = await upstream((request, response) => {
    arrived.push(request.url ?? '');
    const answer = (): void => void response.end(`answer of ${request.url}`);
    if (request.url?.startsWith('/now')) answer();
    else held.push(answer);
  });
  return {
    ...server,
    arrived,
    letGo: () => {
      for (const answer of held.splice(0)) answer();
    },
  };
}

/** The ways in which a router is reached. */
const mounts = {
  listen: async (url: string) => (await listening({}, (router) => router.route('/*', { url }))).port,
  'a server of one’s own': async (url: string) => {
    const router = new RequestRouter().route('/*', { url });
    const server = createServer(router.node).on('upgrade', router.upgrade);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => {
      server.closeAllConnections();
      return router.stop({ timeout: 0 }).then(() => server.close());
    });
    return (server.address() as AddressInfo).port;
  },
};

describe.each(Object.entries(mounts))(
  'a request to switch protocols behind another one, by %s',
  (_name, mount) => {
    it.each(['websocket', 'h2c', 'other'])('%s waits for its turn', async (protocol) => {
      const { url, arrived, letGo } = await holding();
      const client = raw(await mount(url), get('/first') + upgrade('/second', protocol));
      await until(() => arrived.length === 1, 'the first request');
      await pause(20);
      expect([arrived, client.text()]).toEqual([['/first'], '']);
      letGo();
      await until(() => arrived.length === 2, 'the second request');
      letGo();
      await until(() => answers(client.text()).length === 2, 'both answers');
      expect(answers(client.text())).toEqual(['answer of /first', 'answer of /second']);
    });

    it('and in a packet of its own', async () => {
      const { url, arrived, letGo } = await holding();
      const client = raw(await mount(url), get('/first'));
      await until(() => arrived.length === 1, 'the first request');
      client.socket.write(upgrade('/second'));
      await pause(20);
      letGo();
      await until(() => arrived.length === 2, 'the second request');
      letGo();
      await client.closed;
      expect(answers(client.text())).toEqual(['answer of /first', 'answer of /second']);
    });

    it('served as the plain request that it also is, it keeps the order of what follows', async () => {
      const { url, arrived, letGo } = await holding();
      const client = raw(await mount(url), get('/first') + upgrade('/now2', 'h2c') + get('/now3'));
      await until(() => arrived.length === 1, 'the first request');
      client.socket.write(get('/now4') + upgrade('/now5', 'h2c'));
      await pause(20);
      client.socket.write(get('/now6'));
      letGo();
      await until(() => answers(client.text()).length === 6, 'all answers');
      expect(answers(client.text()).join()).toBe(
        'answer of /first,answer of /now2,answer of /now3,answer of /now4,answer of /now5,answer of /now6',
      );
    });
  },
);

describe('a request to switch protocols that waits', () => {
  it('gets its tunnel, and what was said early arrives there', async () => {
    const { url, arrived, letGo } = await holding();
    const heard: string[] = [];
    const echo = await rawUpstream((socket) => {
      socket.on('data', (chunk) => {
        heard.push(chunk.toString('latin1'));
        if (heard.length === 1)
          socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      });
    });
    const { port } = await listening({}, (router) =>
      router.route('/chat', { url: echo.url, upgrade: true }).route('/*', { url }),
    );
    const client = raw(port, `${get('/first')}${upgrade('/chat')}early,`);
    await until(() => arrived.length === 1, 'the first request');
    const rest = `${'x'.repeat(300_000)},end`;
    client.socket.write(rest);
    await pause(20);
    expect(heard).toEqual([]);
    letGo();
    await until(() => heard.join('').endsWith(',end'), 'all that was said');
    expect(heard.slice(1).join('')).toBe(`early,${rest}`);
    expect(client.text()).toMatch(/answer of \/firstHTTP\/1\.1 101 /);
  });

  it.each(['destroy', 'end', 'resetAndDestroy'] as const)(
    'is forgotten when the client leaves by %s',
    async (leave) => {
      const { url, arrived } = await holding();
      const { port, router, finished } = await listening({}, (it) => it.route('/*', { url }));
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {});
      onCleanup(() => socket.destroy());
      socket.write(get('/first') + get('/second') + upgrade('/third'));
      await until(() => arrived.length === 2, 'the first requests');
      socket[leave]();
      await until(() => router.active === 0, 'nothing under way');
      expect(finished.map(({ status }) => status)).toEqual([499, 499]);
      expect(arrived.includes('/third')).toBe(false);
    },
  );

  it('does not stop a long answer before it from going out', async () => {
    const long = 'x'.repeat(8_000_000);
    const { url } = await upstream((request, response) =>
      response.end(request.url === '/long' ? long : `answer of ${request.url}`),
    );
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, get('/long') + upgrade('/second'));
    client.socket.pause();
    await pause(50);
    client.socket.resume();
    await until(() => client.text().endsWith('answer of /second'), 'both answers');
    expect(client.text().length).toBeGreaterThan(long.length);
  });

  it('gets a long answer whole, where it is served as a plain request', async () => {
    const long = 'x'.repeat(8_000_000);
    const { url } = await upstream((_request, response) => response.end(`${long}end`));
    const { port } = await listening({}, (router) => router.route('/*', { url }));
    const client = raw(port, upgrade('/long'));
    client.socket.pause();
    await pause(50);
    client.socket.resume();
    await client.closed;
    expect(client.text().endsWith('xend')).toBe(true);
  });

  it('ends with the router', async () => {
    const { url, arrived } = await holding();
    const { port, router } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, get('/first') + upgrade('/second'));
    await until(() => arrived.length === 1, 'the first request');
    await router.stop({ timeout: 20 });
    await client.closed;
    await until(() => router.active === 0, 'nothing under way');
  });

  it('closes the connection rather than harm an answer that is not the router’s', async () => {
    const { url } = await holding();
    const router = new RequestRouter().route('/*', { url });
    const server = createServer((request, response) => {
      if (request.url !== '/own') router.node(request, response);
    }).on('upgrade', router.upgrade);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onCleanup(() => router.stop({ timeout: 0 }).then(() => server.close()));
    const { port } = server.address() as AddressInfo;
    for (const protocol of ['websocket', 'h2c']) {
      await raw(port, get('/own') + upgrade('/second', protocol)).closed;
    }
    expect(router.active).toBe(0);
  });
});

describe('requests in line on one connection', () => {
  it.each(['destroy', 'end', 'resetAndDestroy'] as const)(
    'end with their client when it leaves by %s',
    async (leave) => {
      const closed: (string | undefined)[] = [];
      let arrived = 0;
      const { url } = await upstream((request, response) => {
        arrived += 1;
        response.on('close', () => closed.push(request.url));
        if (request.url === '/fast') response.end('fast');
        else if (request.url === '/stream') response.write('piece');
      });
      const { port, router, finished } = await listening({}, (it) => it.route('/*', { url }));
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {});
      onCleanup(() => socket.destroy());
      socket.write(['/stall', '/fast', '/stall', '/stream'].map(get).join(''));
      await until(() => arrived === 4 && closed.includes('/fast'), 'all requests');
      expect(router.active).toBe(4);
      socket[leave]();
      await until(() => router.active === 0 && closed.length === 4, 'nothing under way');
      expect(finished.map(({ aborted }) => aborted)).toEqual([true, true, true, true]);
      expect(await router.stop({ timeout: 1_000 })).toBe(true);
    },
  );

  it('are told apart from those that were answered before', async () => {
    const { url, arrived, letGo } = await holding();
    const { port, router, finished } = await listening({}, (it) => it.route('/*', { url }));
    const client = raw(port, get('/first') + get('/second') + get('/third'));
    await until(() => arrived.length === 3, 'all requests');
    letGo();
    await until(() => answers(client.text()).length === 3, 'all answers');
    client.socket.write(get('/fourth') + get('/fifth'));
    await until(() => arrived.length === 5, 'two more');
    client.socket.destroy();
    await until(() => router.active === 0, 'nothing under way');
    expect(finished.map(({ status, aborted }) => [status, aborted])).toEqual([
      [200, false],
      [200, false],
      [200, false],
      [499, true],
      [499, true],
    ]);
  });
});
