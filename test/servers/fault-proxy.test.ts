import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from './fault-proxy.ts';
import { until } from './until.ts';

let echo: Server;
let proxy: FaultProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await FaultProxy.start({ host: '127.0.0.1', port: (echo.address() as { port: number }).port });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  echo.close();
});

interface Client {
  readonly socket: Socket;
  /** Each piece that arrived. */
  readonly pieces: Buffer[];
  received(): string;
  error(): string | undefined;
  closed(): boolean;
}

async function openClient(): Promise<Client> {
  const socket = connect(proxy.port, '127.0.0.1');
  clients.push(socket);
  const pieces: Buffer[] = [];
  let code: string | undefined;
  let closed = false;
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('close', () => (closed = true));
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return {
    socket,
    pieces,
    received: () => Buffer.concat(pieces).toString(),
    error: () => code,
    closed: () => closed,
  };
}

const hears = (client: Client, text: string): Promise<void> =>
  until(() => client.received() === text, `hearing ${text.slice(0, 20)}`, 5_000);

describe('FaultProxy', () => {
  it('passes everything both ways, and the end of it', async () => {
    const client = await openClient();
    const text = 'kelp'.repeat(500_000);
    client.socket.end(text);
    await hears(client, text);
    await until(client.closed, 'the connection being closed');
    await until(() => proxy.connections === 0, 'the proxy forgetting it');
  });

  it('delays by the latency', async () => {
    const client = await openClient();
    proxy.inject({ upstream: { latency: 40 }, downstream: { latency: 40 } });
    const start = performance.now();
    client.socket.write('kelp');
    await hears(client, 'kelp');
    expect(performance.now() - start).toBeGreaterThanOrEqual(78);
  });

  it('limits the bandwidth', async () => {
    const client = await openClient();
    proxy.inject({ downstream: { bandwidth: 10_000 } });
    const start = performance.now();
    client.socket.write('x'.repeat(1_000));
    await hears(client, 'x'.repeat(1_000));
    expect(performance.now() - start).toBeGreaterThanOrEqual(98);
  });

  it('slices', async () => {
    const client = await openClient();
    proxy.inject({ downstream: { slice: 1, latency: 5 } });
    client.socket.write('kelp');
    await hears(client, 'kelp');
    expect(client.pieces.length).toBe(4);
  });

  it('closes after a limit of bytes', async () => {
    const client = await openClient();
    proxy.inject({ downstream: { limit: 3 } });
    client.socket.write('kelp');
    await until(client.closed, 'the connection being closed');
    expect(client.received()).toBe('kel');
  });

  it('lets nothing through a black hole, and everything once healed', async () => {
    const client = await openClient();
    proxy.inject({ downstream: { blackHole: true } });
    client.socket.write('kelp');
    const other = await openClient();
    other.socket.write('also');
    // No assertion can wait for nothing to happen; that the upstream direction works shows that there was time.
    await until(() => proxy.connections === 2, 'both being connected');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.received() + other.received()).toBe('');
    expect(client.closed()).toBe(false);
    proxy.heal();
    await hears(client, 'kelp');
    await hears(other, 'also');
  });

  it('resets open and new connections', async () => {
    const client = await openClient();
    client.socket.write('kelp');
    await hears(client, 'kelp');
    proxy.inject({ resetAfter: 0 });
    await until(() => client.error() === 'ECONNRESET', 'the open one being reset');
    const later = await openClient();
    await until(() => later.error() === 'ECONNRESET', 'the new one being reset');
  });

  it('goes down, refuses, and comes up on the same port', async () => {
    const client = await openClient();
    await proxy.down();
    await proxy.down();
    await until(client.closed, 'the connection being broken');
    await expect(openClient()).rejects.toThrow('ECONNREFUSED');
    await proxy.up();
    await proxy.up();
    const again = await openClient();
    again.socket.write('kelp');
    await hears(again, 'kelp');
  });

  it('breaks the connection of a client whose server is gone', async () => {
    echo.close();
    const client = await openClient();
    await until(client.closed, 'the connection being broken');
  });
});
