import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { get, isAlive, Stage, until } from './sidecar-stage.ts';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

const statusOf = async (url: string): Promise<number> => (await get(url)).status;

describe('holdfast sidecar, as a process', () => {
  it('starts the app, gives it requests with ids, registers it, and tells how it is', async () => {
    const sidecar = await stage.sidecar('payments', ['--health', '/healthz']);
    const { inbound, admin } = await sidecar.ready();
    const answer = await get(`${inbound}/charges?card=secret`, {
      host: 'shop.example',
      'x-request-id': 'r-1',
    });
    const seen = JSON.parse(answer.text);
    expect(seen).toMatchObject({ pid: sidecar.appPids[0], name: 'payments', url: '/charges?card=secret' });
    expect(seen.headers).toMatchObject({ host: 'shop.example', 'x-request-id': 'r-1' });
    expect(seen.headers.traceparent).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-01$/);

    expect(await statusOf(`${admin}/healthz`)).toBe(200);
    const ready = await get(`${admin}/readyz`);
    expect(JSON.parse(ready.text)).toMatchObject({
      app: 'up',
      registered: true,
      draining: false,
      restarts: 0,
    });
    const metrics = await get(`${admin}/metrics`);
    expect(metrics.headers['content-type']).toContain('version=0.0.4');
    expect(metrics.text).toContain('holdfast_sidecar_ready{app="payments"} 1');
    expect(metrics.text).toMatch(
      /http_requests_total\{router="payments-inbound",route="\/\*",method="GET",status="2xx"\} 1/,
    );

    const line = await until('the access log', () =>
      sidecar.told.find((told) => told.router === 'payments-inbound'),
    );
    expect(line).toMatchObject({ path: '/charges', status: 200, client: '127.0.0.1', request_id: 'r-1' });
    expect(JSON.stringify(sidecar.told)).not.toContain('secret');
    expect(await sidecar.end('SIGTERM')).toBe(0);
  });

  it('starts the app again when it was killed: not ready and not registered meanwhile, then both again', async () => {
    const sidecar = await stage.sidecar('payments', ['--health', '/healthz']);
    const { inbound, admin } = await sidecar.ready();
    const caller = await stage.sidecar('caller');
    const { inbound: through } = await caller.ready();
    expect(await statusOf(`${through}/call/payments`)).toBe(200);

    process.kill(sidecar.appPids[0]!, 'SIGKILL');
    await sidecar.waitFor('app-exited');
    await until('not ready', async () => (await statusOf(`${admin}/readyz`)) === 503);
    expect(sidecar.heard('app-exited')[0]).toMatchObject({
      signal: 'SIGKILL',
      restartIn: expect.any(Number),
    });
    await sidecar.waitFor('app-ready', 2);
    await until('ready again', async () => (await statusOf(`${admin}/readyz`)) === 200);
    expect(JSON.parse((await get(`${inbound}/`)).text).pid).toBe(sidecar.appPids[1]);
    await until('found again', async () => (await statusOf(`${through}/call/payments`)) === 200);
    expect(sidecar.appPids).toHaveLength(2);
  });

  it('gives up an app that keeps crashing, says so, and exits with 1', async () => {
    const config = await stage.sidecar('payments', ['--start-timeout', '60s'], { CRASH_AT_START: 'yes' });
    expect(await config.exit).toBe(1);
    expect(config.heard('app-started')).toHaveLength(5);
    expect(config.stderr).toMatch(
      /app payments: given up after it ended 5 times .* exit code 3 \[HOLDFAST_APP\]/,
    );
    expect(config.heard('ready')).toEqual([]);
  });

  it('exits with 1 at once when the command cannot be run', async () => {
    const sidecar = await stage.sidecar('payments', [], {}, ['/nowhere/no-such-program']);
    expect(await sidecar.exit).toBe(1);
    expect(sidecar.stderr).toContain('"/nowhere/no-such-program" cannot be started');
  });

  it('refuses a port on which somebody else listens, instead of taking that one for the app', async () => {
    const first = await stage.sidecar('payments');
    await first.ready();
    const second = await stage.sidecar('other', ['--app-port', String(first.appPort)]);
    expect(await second.exit).toBe(1);
    expect(second.stderr).toContain(`another process listens on 127.0.0.1:${first.appPort}`);
  });
});

describe('a signal to end', () => {
  it('drains, then stops the app, which may call others until its end; no request is lost', async () => {
    const greeter = await stage.sidecar('greeter');
    await greeter.ready();
    const sidecar = await stage.sidecar('payments', ['--health', '/healthz', '--drain-delay', '300ms'], {
      CALL_AT_START: 'greeter',
      CALL_AT_END: 'greeter',
    });
    const { inbound, admin } = await sidecar.ready();
    expect(stage.events('payments')[0]).toMatchObject({ event: 'called-at-start', status: 200 });

    const slow = get(`${inbound}/slow`);
    await until('the slow request is with the app', () =>
      stage.events('payments').some(({ event }) => event === 'slow-begun'),
    );
    sidecar.signal('SIGTERM');
    await until('not ready', async () => (await statusOf(`${admin}/readyz`)) === 503);
    // Others may not have heard yet: what still comes is served.
    expect(await statusOf(`${inbound}/late`)).toBe(200);
    await until('out of the registry', async () => {
      const status = JSON.parse((await get(`${admin}/readyz`)).text);
      return status.draining && !status.registered && status.app === 'up';
    });
    await until('the door is closed', () =>
      get(`${inbound}/`).then(
        () => false,
        () => true,
      ),
    );
    expect(stage.events('payments').map(({ event }) => event)).not.toContain('sigterm');
    await get(`http://127.0.0.1:${sidecar.appPort}/release`);

    expect(await slow).toMatchObject({ status: 200, text: 'slow but whole' });
    expect(await sidecar.exit).toBe(0);
    const events = stage.events('payments').map(({ event }) => event);
    expect(events).toEqual([
      'called-at-start',
      'listening',
      'slow-begun',
      'slow-ended',
      'sigterm',
      'called-at-end',
      'ended',
    ]);
    expect(stage.events('payments').find(({ event }) => event === 'called-at-end')).toMatchObject({
      status: 200,
    });
    expect(sidecar.told.at(-1)).toMatchObject({ event: 'stopped' });
    expect(sidecar.stderr).toBe('');
  });

  it('kills an app that does not stop, and everything that it started', async () => {
    const shell = ['sh', '-c', `"${process.execPath}" test/system/sidecar-app.mjs & wait`];
    const sidecar = await stage.sidecar(
      'payments',
      ['--stop-timeout', '200ms'],
      { IGNORE_SIGTERM: 'yes' },
      shell,
    );
    await sidecar.ready();
    const { pid } = stage.events('payments')[0]!;
    expect(pid).not.toBe(sidecar.appPids[0]);
    // As when the terminal is closed.
    expect(await sidecar.end('SIGHUP')).toBe(0);
    await until('no process is left', () => !isAlive(pid) && !isAlive(-sidecar.appPids[0]!));
  });

  it('ends a start that is under way, as success, with no process left', async () => {
    const sidecar = await stage.sidecar('payments', ['--health', '/never'], {});
    await sidecar.waitFor('app-started');
    await until('the app listens', () => stage.events('payments').length > 0);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(isAlive(sidecar.appPids[0]!)).toBe(false);
    expect(sidecar.heard('ready')).toEqual([]);
  });

  it('ends at once at the second one, and takes the app with it', async () => {
    const sidecar = await stage.sidecar('payments', [], { IGNORE_SIGTERM: 'yes' });
    await sidecar.ready();
    sidecar.signal('SIGINT');
    await sidecar.waitFor('draining');
    expect(await sidecar.end('SIGTERM')).toBe(1);
    await until('the app is gone', () => !isAlive(sidecar.appPids[0]!));
  });
});

describe('the outbound listener', () => {
  it('goes on without a failed request when one of two instances is killed', async () => {
    const [one, two] = await Promise.all([stage.sidecar('orders'), stage.sidecar('orders')]);
    await Promise.all([one.ready(), two.ready()]);
    const caller = await stage.sidecar('caller');
    const { outbound, admin } = await caller.ready();
    const ask = () => get(`${outbound}/`, { host: 'orders' });
    const seen = new Set<number>();
    await until('both have answered', async () => {
      seen.add(JSON.parse((await ask()).text).pid);
      return seen.size === 2;
    });

    let asked = 0;
    const failed: unknown[] = [];
    let stop = false;
    const clients = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const answer = await ask().catch((error: unknown) => ({ status: String(error), text: '' }));
        asked += 1;
        if (answer.status !== 200) failed.push(answer);
      }
    });
    await until('traffic flows', () => asked > 100);
    // No goodbye: the sidecar and its app vanish, the registration stays until it expires.
    one.signal('SIGKILL');
    process.kill(-one.appPids[0]!, 'SIGKILL');
    const before = asked;
    await until('traffic went on', () => asked > before + 500);
    stop = true;
    await Promise.all(clients);
    expect(failed).toEqual([]);
    expect(JSON.parse((await ask()).text).pid).toBe(two.appPids[0]);
    expect((await get(`${admin}/metrics`)).text).not.toMatch(
      /primitive="circuit-breaker",name="orders",type="opened"/,
    );
  });

  it('serves Host and HTTP proxy form alike, and nothing that is not in the registry', async () => {
    const orders = await stage.sidecar('orders');
    await orders.ready();
    const caller = await stage.sidecar('caller', ['--retries', '0']);
    const { outbound } = await caller.ready();
    expect(await get(`${outbound}/a`, { host: 'orders' })).toMatchObject({ status: 200 });
    const proxied = await get(outbound, { host: 'ignored' }, 'http://orders/a/b?c=d');
    expect(JSON.parse(proxied.text)).toMatchObject({ name: 'orders', url: '/a/b?c=d' });

    const unknown = await get(outbound, { host: 'nobody' });
    expect(unknown).toMatchObject({ status: 503, text: expect.stringContaining('HOLDFAST_NO_INSTANCE') });
    for (const target of [
      'http://169.254.169.254/latest/meta-data',
      'http://127.0.0.1:22/',
      'http://localhost/',
    ]) {
      expect(await get(outbound, {}, target)).toMatchObject({
        status: 400,
        text: expect.stringContaining('name the service to call'),
      });
    }
  });

  it('opens the breaker of a failing service, and of that one only', async () => {
    const orders = await stage.sidecar('orders');
    await orders.ready();
    // The kernel takes connections for a stopped process: a check by connection sees nothing, the breaker must.
    const hung = await stage.sidecar('hung');
    await hung.ready();
    process.kill(hung.appPids[0]!, 'SIGSTOP');
    // Long enough for a call on a busy machine; calls that hang together cost that time once.
    const caller = await stage.sidecar('caller', ['--timeout', '2s', '--retries', '0']);
    const { outbound } = await caller.ready();
    const statuses: number[] = [];
    await until('the breaker is open', async () => {
      const calls = Array.from({ length: 20 }, () => get(outbound, { host: 'hung' }));
      const answers = await Promise.all(calls);
      statuses.push(...answers.map(({ status }) => status));
      return answers.every(({ text }) => text.includes('HOLDFAST_CIRCUIT_OPEN'));
    });
    expect(new Set(statuses)).toEqual(new Set([504, 503]));
    await until('the other service is served', async () => {
      const answer = await get(outbound, { host: 'orders' });
      expect(answer.text).not.toContain('HOLDFAST_CIRCUIT_OPEN');
      return answer.status === 200;
    });
    process.kill(hung.appPids[0]!, 'SIGCONT');
    await until(
      'the service is served again',
      async () => (await get(outbound, { host: 'hung' })).status === 200,
    );
  });
});
