import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { AppError, InvalidOptionsError, NotRunningError } from '../../src/core/errors.ts';
import type { SidecarOptions } from '../../src/sidecar/options.ts';
import { Sidecar } from '../../src/sidecar/sidecar.ts';

// Real sockets on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 });

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** An app in this process, whose health can be switched. */
async function localApp() {
  const state = { healthy: true, headers: {} as Record<string, unknown> };
  const server: Server = createServer((request, response) => {
    if (request.url === '/healthz') response.statusCode = state.healthy ? 200 : 500;
    else state.headers = request.headers;
    response.end(request.url);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return { state, port: (server.address() as AddressInfo).port };
}

function sidecarOf(port: number, options: Partial<SidecarOptions> = {}) {
  const registry = memoryRegistry();
  const health = { path: '/healthz', interval: 20, unhealthyAfter: 2 };
  const sidecar = new Sidecar({
    app: { name: 'payments', port, health, startTimeout: '5s' },
    registry,
    drainDelay: 0,
    ...options,
  });
  closing.push(() => sidecar.stop({ timeout: 0 }));
  const listed = async () => (await registry.list('payments')).length;
  return { sidecar, registry, listed };
}

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;

describe('Sidecar', () => {
  it('stands in front of an app that somebody else runs', async () => {
    const { port, state } = await localApp();
    const { sidecar, registry, listed } = sidecarOf(port);
    const events: string[] = [];
    for (const event of ['started', 'appReady', 'draining', 'stopped'] as const) {
      sidecar.on(event, () => events.push(event));
    }
    expect(() => sidecar.addresses).toThrow(NotRunningError);
    expect(await sidecar.start()).toBe(sidecar);
    const { inbound, outbound, admin } = sidecar.addresses;
    expect(await (await fetch(`${inbound.url}/hello;v=1`)).text()).toBe('/hello;v=1');
    expect(state.headers['x-request-id']).toMatch(/^[\w-]{36}$/);
    expect(await registry.list('payments')).toMatchObject([{ host: '127.0.0.1', port: inbound.port }]);
    expect(sidecar.status).toEqual({
      app: 'up',
      pid: undefined,
      restarts: 0,
      registered: true,
      draining: false,
    });
    expect(await statusOf(`${admin.url}/healthz/outbound`)).toBe(200);
    expect(await statusOf(`${admin.url}/nothing`)).toBe(404);

    await Promise.all([sidecar.stop(), sidecar.stop()]);
    await sidecar.stop();
    expect(sidecar.state).toBe('stopped');
    expect(await listed()).toBe(0);
    expect(events).toEqual(['appReady', 'started', 'draining', 'stopped']);
    for (const { url } of [inbound, outbound, admin]) await expect(fetch(url)).rejects.toThrow();
    await expect(sidecar.start()).rejects.toBeInstanceOf(NotRunningError);
  });

  it('takes the app out of the registry while it is unhealthy, and puts it back', async () => {
    const { port, state } = await localApp();
    const { sidecar, listed } = sidecarOf(port);
    await sidecar.start();
    const { admin, inbound } = sidecar.addresses;
    state.healthy = false;
    await vi.waitFor(async () => expect(await listed()).toBe(0), 60_000);
    expect(sidecar.status.app).toBe('down');
    expect(await statusOf(`${admin.url}/healthz`)).toBe(503);
    expect(await statusOf(`${admin.url}/readyz`)).toBe(503);
    // Who still comes is served as well as the app can.
    expect(await statusOf(`${inbound.url}/`)).toBe(200);
    state.healthy = true;
    await vi.waitFor(async () => expect(await listed()).toBe(1), 60_000);
    await vi.waitFor(async () => expect(await statusOf(`${admin.url}/readyz`)).toBe(200), 60_000);
  });

  it('keeps trace and request id that come in, and replaces what is not acceptable', async () => {
    const { port, state } = await localApp();
    const { sidecar } = sidecarOf(port, { sampling: 0 });
    await sidecar.start();
    const { inbound } = sidecar.addresses;
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await fetch(inbound.url, { headers: { traceparent, tracestate: 'a=b', 'x-request-id': 'r-7' } });
    expect(state.headers).toMatchObject({ traceparent, tracestate: 'a=b', 'x-request-id': 'r-7' });
    await fetch(inbound.url, {
      headers: { traceparent: 'nonsense', tracestate: 'a=b', 'x-request-id': '<b>' },
    });
    expect(state.headers.traceparent).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-00$/);
    expect(state.headers.tracestate).toBeUndefined();
    expect(state.headers['x-request-id']).not.toBe('<b>');
  });

  it('writes the access log of both listeners, and tells the telemetry of the user', async () => {
    const { port } = await localApp();
    const lines: string[] = [];
    const types: string[] = [];
    const { sidecar } = sidecarOf(port, {
      accessLog: (line) => lines.push(line),
      runtime: { telemetry: { record: ({ primitive, type }) => types.push(`${primitive} ${type}`) } },
    });
    await sidecar.start();
    const { inbound, outbound, admin } = sidecar.addresses;
    await fetch(`${inbound.url}/in?token=canary`);
    await fetch(`${outbound.url}/out`);
    await fetch(`${admin.url}/metrics`);
    await vi.waitFor(() => expect(lines).toHaveLength(2), 60_000);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { router: 'payments-inbound', path: '/in', status: 200 },
      { router: 'payments-outbound', path: '/out', status: 400 },
    ]);
    expect(lines.join()).not.toContain('canary');
    expect(types).toContain('sidecar started');
    expect(types).toContain('request-router finished');
  });

  it('starts while the registry is away, and registers when it is back', async () => {
    const { port } = await localApp();
    const { sidecar, registry, listed } = sidecarOf(port);
    registry.partition();
    await sidecar.start();
    expect(sidecar.status).toMatchObject({ app: 'up', registered: false });
    expect(await statusOf(`${sidecar.addresses.admin.url}/readyz`)).toBe(503);
    registry.heal();
    await vi.waitFor(async () => expect(await listed()).toBe(1), 60_000);
  });

  it('fails to start when the app is not healthy in time, and leaves nothing open', async () => {
    const { port, state } = await localApp();
    state.healthy = false;
    const { sidecar, listed } = sidecarOf(port, {
      app: { name: 'payments', port, health: '/healthz', startTimeout: 50 },
    });
    await expect(sidecar.start()).rejects.toThrow(
      `app payments: was not healthy at http://127.0.0.1:${port}/healthz`,
    );
    expect(sidecar.state).toBe('stopped');
    expect(await listed()).toBe(0);
    await expect(sidecar.start()).rejects.toBeInstanceOf(NotRunningError);
  });

  it('fails to start when a port is taken, and stops what it had opened', async () => {
    const { port } = await localApp();
    const { sidecar } = sidecarOf(port, { inbound: { port } });
    const outbound = vi.fn();
    sidecar.on('started', outbound);
    await expect(sidecar.start()).rejects.toThrow('EADDRINUSE');
    expect(outbound).not.toHaveBeenCalled();
    expect(sidecar.state).toBe('stopped');
  });

  it('can be stopped while it starts', async () => {
    const { port, state } = await localApp();
    state.healthy = false;
    const { sidecar } = sidecarOf(port);
    const started = sidecar.start();
    await vi.waitFor(() => expect(sidecar.state).toBe('starting'), 60_000);
    const stopped = sidecar.stop();
    await expect(started).rejects.toBeInstanceOf(NotRunningError);
    await stopped;
    expect(sidecar.state).toBe('stopped');
  });

  it('stops without ever having been started', async () => {
    const { sidecar } = sidecarOf(3000);
    await sidecar[Symbol.asyncDispose]();
    expect(sidecar.state).toBe('stopped');
  });

  it('says in a rejected start which command could not be run', async () => {
    const { sidecar } = sidecarOf(1, { app: { name: 'payments', port: 1, command: ['/nowhere/app'] } });
    await expect(sidecar.start()).rejects.toBeInstanceOf(AppError);
  });

  it.each([
    [{ app: { name: 'a b', port: 1 } }, 'app.name'],
    [{ app: { name: 'a', port: 0 } }, 'app.port'],
    [{ app: { name: 'a', port: 1, command: [] } }, 'app.command'],
    [{ app: { name: 'a', port: 1, health: 'healthz' } }, 'app.health.path'],
    [{ app: { name: 'a', port: 1, restart: { maxCrashes: 0 } } }, 'app.restart.maxCrashes'],
    [{ app: { name: 'a', port: 1, healthPath: '/' } }, 'app.healthPath'],
    [{ registry: {} }, 'registry'],
    [{ inbound: { port: 65_536 } }, 'inbound.port'],
    [{ inbound: { advertise: 'http://x' } }, 'host'],
    [{ inbound: { trustedProxies: ['10/8x'] } }, 'trustedProxies'],
    [{ policies: { retry: { attempts: 0 } } }, 'attempts'],
    [{ policies: { timeout: -1 } }, 'timeout'],
    [{ services: { orders: { breaker: { failureRate: 7 } } } }, 'failureRate'],
    [{ policies: { retries: 3 } }, 'retries'],
    [{ drainDelay: '5 s' }, 'drainDelay'],
    [{ sampling: 2 }, 'sampling'],
  ])('refuses %j', (options, field) => {
    expect(() => sidecarOf(3000, options as never)).toThrow(InvalidOptionsError);
    expect(() => sidecarOf(3000, options as never)).toThrow(field);
  });
});
