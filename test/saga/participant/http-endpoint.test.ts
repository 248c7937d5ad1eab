/** A participant's endpoint over real sockets, in every server that it is for. */
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MemoryTransaction, memorySagaBarrier } from '../../../src/adapters/memory/saga-barrier.ts';
import { ProblemError, RefusedError, UpstreamError } from '../../../src/core/errors.ts';
import { refusedBy, sagaAnswer } from '../../../src/saga/http-answer.ts';
import type { ParticipantRequest } from '../../../src/saga/http-endpoint.ts';
import { sagaHeaders } from '../../../src/saga/http-headers.ts';
import { type SagaEndpoint, sagaEndpoint } from '../../../src/saga/http-participant.ts';
import { refuse } from '../../../src/saga/saga.ts';

interface Running {
  readonly url: string;
  readonly close: () => Promise<unknown>;
}

async function listen(server: Server): Promise<Running> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}/reservations?shop=1`, close };
}

const servers: Readonly<Record<string, (endpoint: SagaEndpoint) => Promise<Running>>> = {
  'node:http': (endpoint) =>
    listen(createServer((request, response) => void endpoint.node(request, response))),
  'Express without a parser': (endpoint) =>
    listen(createServer(express().post('/reservations', endpoint.node))),
  'Express with a parser': (endpoint) =>
    listen(
      createServer(
        express().use(express.json()).use('/', express.Router().post('/reservations', endpoint.node)),
      ),
    ),
  Fastify: async (endpoint) => {
    const app = fastify();
    app.post('/reservations', endpoint.fastify);
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    return { url: `${url}/reservations?shop=1`, close: () => app.close() };
  },
  'a fetch handler': (endpoint) =>
    listen(
      createServer(async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const url = `http://${request.headers.host}${request.url}`;
        const init = { method: request.method!, headers: request.headers as Record<string, string> };
        const answer = await endpoint.fetch(new Request(url, { ...init, body: Buffer.concat(chunks) }));
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(Buffer.from(await answer.arrayBuffer()));
      }),
    ),
};

const contextOf = (operation: 'do' | 'undo', sagaId = 'o1') => ({
  sagaId,
  key: `${sagaId}/hold/${operation}`,
});

describe.each(Object.entries(servers))('a participant behind %s', (_name, start) => {
  let running: Running;
  let stock: number;
  let handled: string[];
  let asked: ParticipantRequest[];
  let errors: unknown[];

  beforeEach(async () => {
    stock = 3;
    handled = [];
    asked = [];
    errors = [];
    const barrier = memorySagaBarrier();
    const onError = (error: unknown): void => void errors.push(error);
    const endpoint = sagaEndpoint({ barrier, onError }, (transaction: MemoryTransaction, request) => {
      handled.push(request.operation);
      asked.push(request);
      const { count } = request.body as { count: number };
      if (count > 100)
        throw new ProblemError(403, 'nobody may have so many', { headers: { 'x-limit': '100' } });
      if (count < 0) throw new Error('secret: postgres://user:password@host');
      if (request.operation === 'do' && count > stock) refuse('sold out');
      const change = request.operation === 'do' ? -count : count;
      transaction.apply(() => {
        stock += change;
      });
      if (request.operation === 'undo') return undefined;
      return { status: 201, body: { reservation: `R-${handled.length}` }, headers: { location: '/r/1' } };
    });
    running = await start(endpoint);
  });

  afterEach(() => running.close());

  const post = (context: { sagaId: string; key: string }, count: number, more: Record<string, string> = {}) =>
    fetch(running.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...sagaHeaders(context), ...more },
      body: JSON.stringify({ count }),
    });

  it('does a call once and replays its status, headers and body', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => post(contextOf('do'), 2)));
    for (const answer of answers) {
      expect(answer.status).toBe(201);
      expect(answer.headers.get('location')).toBe('/r/1');
      expect(await sagaAnswer(answer)).toEqual({ reservation: 'R-1' });
    }
    expect(answers.filter((a) => a.headers.get('idempotent-replayed') === 'true')).toHaveLength(2);
    expect([stock, handled]).toEqual([1, ['do']]);
    expect(asked[0]).toMatchObject({ saga: 'o1', step: 'hold', method: 'POST', url: '/reservations?shop=1' });
    expect(asked[0]?.native).toBeDefined();
  });

  it('undoes it, knowing what it had answered', async () => {
    await post(contextOf('do'), 2);
    const undone = await post(contextOf('undo'), 2);
    expect([undone.status, await undone.text(), stock]).toEqual([204, '', 3]);
    expect(asked[1]?.done).toEqual({
      status: 201,
      body: { reservation: 'R-1' },
      headers: { location: '/r/1' },
    });
    const again = await post(contextOf('undo'), 2);
    expect([again.status, again.headers.get('idempotent-replayed'), stock]).toEqual([204, 'true', 3]);
    expect(await sagaAnswer(again)).toBeUndefined();
  });

  it('answers an undo of nothing, and then refuses the call that comes late', async () => {
    expect((await post(contextOf('undo'), 2)).status).toBe(204);
    const late = await post(contextOf('do'), 2);
    expect(late.status).toBe(409);
    expect(late.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(late.headers.get('holdfast-refused')).toBe('undo');
    const refused = await refusedBy(late.clone());
    expect(refused).toMatchObject({ conclusive: true, message: expect.stringContaining('undone before') });
    await expect(sagaAnswer(late)).rejects.toThrow(RefusedError);
    expect([stock, handled]).toEqual([3, []]);
  });

  it('remembers a refusal', async () => {
    for (const _ of [1, 2]) {
      const refused = await post(contextOf('do'), 4);
      expect(refused.headers.get('holdfast-refused')).toBe('work');
      expect(await refused.json()).toMatchObject({
        status: 409,
        detail: 'sold out',
        code: 'HOLDFAST_REFUSED',
      });
    }
    expect([stock, handled]).toEqual([3, ['do']]);
    expect((await post(contextOf('undo'), 4)).status).toBe(204);
  });

  it('answers another request under the same key with 422', async () => {
    await post(contextOf('do'), 1);
    const other = await post(contextOf('do'), 2);
    expect(other.status).toBe(422);
    expect(await refusedBy(other.clone())).toBeUndefined();
    await expect(sagaAnswer(other)).rejects.toMatchObject({ name: UpstreamError.name, retryable: false });
    expect(stock).toBe(2);
  });

  it('does not remember what failed, and tells nobody why', async () => {
    const forbidden = await post(contextOf('do'), 200);
    expect([forbidden.status, forbidden.headers.get('x-limit')]).toEqual([403, '100']);
    expect(await forbidden.json()).toMatchObject({ detail: 'nobody may have so many' });
    const failed = await post(contextOf('do', 'o2'), -1);
    expect(failed.status).toBe(500);
    expect(await failed.clone().text()).not.toContain('password');
    await expect(sagaAnswer(failed)).rejects.toMatchObject({ retryable: true });
    expect(handled).toHaveLength(2);
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('secret') })]);
    expect((await post(contextOf('do'), 1)).status).toBe(201);
  });

  it('refuses a request whose headers are not those of a call', async () => {
    const bare = await fetch(running.url, { method: 'POST' });
    expect(bare.status).toBe(400);
    expect(bare.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await bare.json()).toMatchObject({
      detail: expect.stringContaining('Idempotency-Key is missing'),
    });
    const wrong = await post(contextOf('do'), 1, { 'holdfast-step': 'ship' });
    expect(wrong.status).toBe(400);
    expect(handled).toEqual([]);
  });
});

describe('the endpoint', () => {
  const headers = { 'content-type': 'application/json', ...sagaHeaders(contextOf('do')) };
  const endpoint = (answer: unknown, maxBody?: number): SagaEndpoint =>
    sagaEndpoint({ barrier: memorySagaBarrier(), maxBody, onError: () => {} }, () => answer as undefined);
  const post = (to: SagaEndpoint, body: string, more = {}) =>
    to.fetch(new Request('http://shop/r', { method: 'POST', headers: { ...headers, ...more }, body }));

  it('takes back work whose answer does not say that it was done', async () => {
    for (const answer of [{ status: 500 }, { status: 302 }, { body: 1n }]) {
      expect((await post(endpoint(answer), '{}')).status).toBe(500);
    }
    expect((await post(endpoint({ body: null }), '{}')).status).toBe(200);
    expect((await post(endpoint(Promise.resolve(undefined)), '{}')).status).toBe(204);
  });

  it('refuses bad JSON and takes text as text', async () => {
    const echo = sagaEndpoint({ barrier: memorySagaBarrier() }, (_, { body }) => ({
      body: { body: body ?? null },
    }));
    expect((await post(echo, '{"a":')).status).toBe(400);
    expect((await post(echo, '{"__proto__":1}')).status).toBe(400);
    expect(await (await post(echo, 'hi', { 'content-type': 'text/plain' })).json()).toEqual({ body: 'hi' });
  });

  it('refuses a body that is too long, and says so before the connection ends', async () => {
    expect((await post(endpoint(undefined, 8), '{"a":"too long"}')).status).toBe(413);
    const running = await listen(
      createServer((request, response) => void endpoint(undefined, 8).node(request, response)),
    );
    try {
      const status = await new Promise((resolve, reject) => {
        const request = httpRequest(running.url, { method: 'POST', headers }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        request.on('error', reject);
        request.end('x'.repeat(200_000));
      });
      expect(status).toBe(413);
    } finally {
      await running.close();
    }
  });

  it('says what it accepts', () => {
    expect(() => sagaEndpoint({} as never, () => undefined)).toThrow('barrier: got nothing');
    expect(() => sagaEndpoint({ barrier: memorySagaBarrier() }, 1 as never)).toThrow('handler');
    expect(() => sagaEndpoint({ barrier: memorySagaBarrier(), body: 1 } as never, () => undefined)).toThrow(
      'body',
    );
  });
});

describe('a handler whose answer cannot be sent', () => {
  const call = { method: 'POST', headers: { ...sagaHeaders(contextOf('do')) } };
  const answering = async (
    answer: unknown,
    onError: (error: unknown) => void = () => {},
  ): Promise<{ url: string; endpoint: SagaEndpoint; close: Running['close'] }> => {
    const endpoint = sagaEndpoint({ barrier: memorySagaBarrier(), onError }, () => answer as never);
    const { url, close } = await listen(
      createServer((request, response) => void endpoint.node(request, response)),
    );
    return { url, endpoint, close };
  };

  it.each([
    ['a header that is none', { headers: { 'a b': 'c' } }],
    ['a value that is none', { headers: { location: '/r/日本' } }],
    ['a body where there is none', { status: 204, body: { a: 1 } }],
  ])('%s: 500, and nothing is stored', async (_what, answer) => {
    const errors: unknown[] = [];
    const { url, endpoint, close } = await answering(answer, (error) => errors.push(error));
    for (let turn = 0; turn < 2; turn += 1) {
      expect((await fetch(url, call)).status).toBe(500);
      expect((await endpoint.fetch(new Request(url, call))).status).toBe(500);
    }
    expect(errors).toHaveLength(4);
    await close();
  });

  it('a length of its own is left to the transport', async () => {
    const { url, close } = await answering({ body: 'x', headers: { 'Content-Length': '99', 'X-Own': '1' } });
    const answer = await fetch(url, call);
    expect([await answer.json(), answer.headers.get('x-own')]).toEqual(['x', '1']);
    await close();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('onError');
      },
    ],
    ['rejects', () => Promise.reject(new Error('onError'))],
  ])('an onError that %s keeps no answer from the caller', async (_how, onError) => {
    const { url, endpoint, close } = await answering({ status: 999 }, onError as never);
    expect((await fetch(url, call)).status).toBe(500);
    expect((await endpoint.fetch(new Request(url, call))).status).toBe(500);
    await close();
  });

  it('a thenable is awaited', async () => {
    let ran = false;
    const lazy = {
      // biome-ignore lint/suspicious/noThenProperty: a query builder is such a promise.
      then: (resolve: (value: unknown) => void) => {
        ran = true;
        resolve({ body: 'built' });
      },
    };
    const { url, close } = await answering(lazy);
    expect([await (await fetch(url, call)).json(), ran]).toEqual(['built', true]);
    await close();
  });
});

it('a body that a parser has left unread is read', async () => {
  const bodies: unknown[] = [];
  const endpoint = sagaEndpoint({ barrier: memorySagaBarrier() }, (_transaction, { body }) => {
    bodies.push(body);
    return undefined;
  });
  const { url, close } = await listen(
    createServer((request, response) => void endpoint.node(Object.assign(request, { body: {} }), response)),
  );
  const headers = { ...sagaHeaders(contextOf('do')), 'content-type': 'text/plain' };
  expect((await fetch(url, { method: 'POST', headers, body: 'three' })).status).toBe(204);
  expect(bodies).toEqual(['three']);
  await close();
});
