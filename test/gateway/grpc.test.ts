import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/core/errors.ts';
import type { Guard } from '../../src/gateway/exchange/exchange.ts';
import { RequestRouter } from '../../src/gateway/request-router.ts';
import { closeAfterEach, onCleanup, registryOf, until } from './support.ts';

closeAfterEach();

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
};
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  ...text,
});
const definition = {
  unary: method('Unary', false, false),
  down: method('Down', false, true),
  up: method('Up', true, false),
  both: method('Both', true, true),
};
const Echo = grpc.makeGenericClientConstructor(definition, 'Echo');
type Client = InstanceType<typeof Echo> & Record<keyof typeof definition, (...args: unknown[]) => never>;

const state = { cancelled: 0 };
afterEach(() => {
  state.cancelled = 0;
});

const implementation: grpc.UntypedServiceImplementation = {
  unary(call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) {
    if (call.request === 'hang')
      return void call.on('cancelled', () => {
        state.cancelled += 1;
      });
    if (call.request === 'fail') {
      const metadata = new grpc.Metadata();
      metadata.set('x-detail', 'deep');
      return done({ code: grpc.status.FAILED_PRECONDITION, details: 'not now', metadata });
    }
    const trailer = new grpc.Metadata();
    trailer.set('x-trailer', 'end');
    const header = new grpc.Metadata();
    header.set('x-caller', call.metadata.get('x-caller').join());
    call.sendMetadata(header);
    done(null, call.request.toUpperCase(), trailer);
  },
  down(call: grpc.ServerWritableStream<string, string>) {
    for (const letter of call.request) call.write(letter);
    call.end();
  },
  up(call: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) {
    const parts: string[] = [];
    call.on('data', (part: string) => parts.push(part));
    call.on('end', () => done(null, parts.join('+')));
  },
  both(call: grpc.ServerDuplexStream<string, string>) {
    call.on('data', (part: string) => call.write(`${part}!`));
    call.on('end', () => call.end());
  },
};

async function throughRouter(
  guard: Guard = () => {},
): Promise<{ client: Client; registry: ReturnType<typeof registryOf> }> {
  const server = new grpc.Server();
  server.addService(definition, implementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onCleanup(() => server.forceShutdown());
  const registry = registryOf({ echo: [`http://127.0.0.1:${port}`] });
  const router = new RequestRouter({ registry })
    .use(guard)
    .route('/test.Echo/*', { service: 'echo', http2: true });
  const { port: front } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
  onCleanup(() => router.stop({ timeout: 0 }));
  const client = new Echo(`127.0.0.1:${front}`, grpc.credentials.createInsecure()) as Client;
  onCleanup(() => client.close());
  return { client, registry };
}

describe('gRPC through the router', () => {
  it('unary: message, metadata and trailers', async () => {
    const { client } = await throughRouter();
    const metadata = new grpc.Metadata();
    metadata.set('x-caller', 'ann');
    const got: { caller?: unknown; trailer?: unknown } = {};
    const answer = await new Promise((resolve, reject) => {
      const call = client.unary('hello', metadata, (error: Error | null, value: string) =>
        error ? reject(error) : resolve(value),
      ) as unknown as grpc.ClientUnaryCall;
      call.on('metadata', (headers: grpc.Metadata) => {
        got.caller = headers.get('x-caller');
      });
      call.on('status', (status: grpc.StatusObject) => {
        got.trailer = status.metadata.get('x-trailer');
      });
    });
    await until(() => got.trailer !== undefined);
    expect([answer, got]).toEqual(['HELLO', { caller: ['ann'], trailer: ['end'] }]);
  });

  it('a failure keeps its status, details and metadata', async () => {
    const { client } = await throughRouter();
    const error = await new Promise<grpc.ServiceError>((resolve) => {
      client.unary('fail', (failure: grpc.ServiceError) => resolve(failure));
    });
    expect([error.code, error.details, error.metadata.get('x-detail')]).toEqual([
      grpc.status.FAILED_PRECONDITION,
      'not now',
      ['deep'],
    ]);
  });

  it('streams down, up and both ways', async () => {
    const { client } = await throughRouter();
    const down: string[] = [];
    const stream = client.down('abc') as unknown as grpc.ClientReadableStream<string>;
    for await (const letter of stream) down.push(letter);
    const up = await new Promise((resolve, reject) => {
      const call = client.up((error: Error | null, value: string) =>
        error ? reject(error) : resolve(value),
      ) as unknown as grpc.ClientWritableStream<string>;
      for (const part of ['x', 'y', 'z']) call.write(part);
      call.end();
    });
    const both = client.both() as unknown as grpc.ClientDuplexStream<string, string>;
    const heard: string[] = [];
    both.on('data', (part: string) => heard.push(part));
    for (const part of ['1', '2', '3']) {
      both.write(part);
      // The answer to one part comes before the next part is sent.
      await until(() => heard.length === Number(part));
    }
    both.end();
    await new Promise((resolve) => both.on('end', resolve));
    expect([down, up, heard]).toEqual([['a', 'b', 'c'], 'x+y+z', ['1!', '2!', '3!']]);
  });

  it('a call that is cancelled is cancelled upstream, and says nothing of the instance', async () => {
    const { client, registry } = await throughRouter();
    const call = client.unary('hang', () => {}) as unknown as grpc.ClientUnaryCall;
    await until(() => registry.open === 1);
    // The server has to have it before it can be told that it is over.
    await new Promise((resolve) => setTimeout(resolve, 50));
    call.cancel();
    await until(() => state.cancelled === 1);
    await until(() => registry.outcomes.length === 1);
    expect(registry.outcomes[0]?.outcome).toBe('cancelled');
  });

  it('carries many calls at once', async () => {
    const { client, registry } = await throughRouter();
    const answers = await Promise.all(
      Array.from(
        { length: 300 },
        (_, turn) =>
          new Promise<string>((resolve, reject) => {
            client.unary(`n${turn}`, (error: Error | null, value: string) =>
              error ? reject(error) : resolve(value),
            );
          }),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 300 }, (_, turn) => `N${turn}`));
    expect([registry.open, registry.repeated]).toEqual([0, 0]);
  });
});

describe('what the router itself answers to a gRPC call', () => {
  it.each([
    [400, grpc.status.INTERNAL],
    [401, grpc.status.UNAUTHENTICATED],
    [403, grpc.status.PERMISSION_DENIED],
    [413, grpc.status.RESOURCE_EXHAUSTED],
    [429, grpc.status.UNAVAILABLE],
    [409, grpc.status.UNKNOWN],
  ])('%i is a status of gRPC, in the words of the problem', async (status, code) => {
    const { client } = await throughRouter(() => {
      throw new ProblemError(status, 'not for you, 100 %', { headers: { 'x-why': 'a guard' } });
    });
    const error = await new Promise<grpc.ServiceError>((resolve) => {
      client.unary('hello', (failure: grpc.ServiceError) => resolve(failure));
    });
    expect([error.code, error.details, error.metadata.get('x-why')]).toEqual([
      code,
      'not for you, 100 %',
      ['a guard'],
    ]);
  });

  it('no instance is UNAVAILABLE, no route UNIMPLEMENTED', async () => {
    const router = new RequestRouter({ registry: registryOf({}) }).route('/test.Echo/Unary', {
      service: 'echo',
      http2: true,
    });
    const { port } = await router.listen({ port: 0, host: '127.0.0.1', http2: true });
    onCleanup(() => router.stop({ timeout: 0 }));
    const client = new Echo(`127.0.0.1:${port}`, grpc.credentials.createInsecure()) as Client;
    onCleanup(() => client.close());
    const served = await new Promise<grpc.ServiceError>((resolve) => {
      client.unary('hello', (failure: grpc.ServiceError) => resolve(failure));
    });
    const unknown = await new Promise<grpc.ServiceError>((resolve) => {
      client.up((failure: grpc.ServiceError) => resolve(failure));
    });
    expect([served.code, unknown.code]).toEqual([grpc.status.UNAVAILABLE, grpc.status.UNIMPLEMENTED]);
  });
});
