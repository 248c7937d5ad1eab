import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { CircuitOpenError } from '../../src/core/errors.ts';
import { FailedResponse, type HttpClientSettled } from '../../src/integrations/fetch.ts';
import { resilientDispatch } from '../../src/integrations/undici.ts';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { flush } from '../resilience/support.ts';
import { slowResponse, stage, url } from './fetch-stage.ts';

const channel = 'holdfast:http-client:settled';
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function hear(): HttpClientSettled[] {
  const heard: HttpClientSettled[] = [];
  const listener = (message: unknown): unknown => heard.push(message as HttpClientSettled);
  subscribe(channel, listener);
  ends.push(() => unsubscribe(channel, listener));
  return heard;
}

describe('the diagnostics channel of the HTTP wrappers', () => {
  it('tells a success at the end of the body, once, with how long it took', async () => {
    const heard = hear();
    const slow = slowResponse();
    const { client, runtime } = stage(async () => slow.response);
    const response = await client(url);
    await runtime.clock.advance(70);
    expect(heard).toEqual([]);
    slow.end();
    await response.text();
    const settled = { client: 'fetch', origin: 'http://api.test', outcome: 'success', status: 200 };
    expect(heard).toEqual([{ ...settled, error: undefined, duration: 70 }]);
  });

  it('tells a failed status, a refusal, and a caller who gave up', async () => {
    const heard = hear();
    const { client } = stage(async () => new Response('busy', { status: 503 }));
    for (let call = 0; call < 2; call += 1) await (await client(url)).text();
    await expect(client(url)).rejects.toBeInstanceOf(CircuitOpenError);
    const hangs = stage((_, init) => {
      return new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    });
    const controller = new AbortController();
    const call = hangs.client(url, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    expect(heard.map(({ outcome, status }) => [outcome, status])).toEqual([
      ['failure', 503],
      ['failure', 503],
      ['refused', undefined],
      ['ignored', undefined],
    ]);
    expect(heard[0]?.error).toBeInstanceOf(FailedResponse);
    expect(heard[2]?.error).toBeInstanceOf(CircuitOpenError);
    expect(heard[3]?.error).toEqual(new Error('enough'));
  });

  it('has no duration of a request that began before anybody subscribed', async () => {
    const slow = slowResponse();
    const { client } = stage(async () => slow.response);
    const response = await client(url);
    const heard = hear();
    slow.end();
    await response.text();
    expect(heard).toMatchObject([{ outcome: 'success', duration: undefined }]);
  });

  it('tells of undici, too', async () => {
    const heard = hear();
    const server = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const agent = new Agent();
    ends.push(
      () => void agent.destroy(),
      () => void server.close(),
    );
    const breakers = resilientDispatch({ breaker: (_, name) => new CircuitBreaker({ name }) });
    const { body } = await agent.compose(breakers).request({ origin, path: '/', method: 'GET' });
    await body.text();
    await flush();
    expect(heard).toMatchObject([{ client: 'undici', origin, outcome: 'success', status: 200 }]);
  });
});
