import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceRegistry } from 'holdfast';
import { fileRegistry } from 'holdfast/adapters/file';

/** A request as the shop's services see it. */
export interface ShopRequest {
  readonly method: string;
  readonly path: string;
  readonly idempotencyKey: string;
  readonly body: Record<string, never> & { readonly [field: string]: unknown };
}

/** A status and a JSON body. */
export type ShopResponse = readonly [status: number, body: object];

/** Tell the driver what happens here, as one JSON line. */
export function tell(event: string, details: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

/** This process's view of the registry that all processes of the shop share. */
export function openRegistry(): Promise<ServiceRegistry> {
  const directory = process.env.RUN_REGISTRY ?? 'registry';
  return new ServiceRegistry({
    backend: fileRegistry({ directory, pollInterval: '200ms' }),
    ttl: '2s',
    drainDelay: '200ms',
  }).start();
}

/**
 * Serve JSON over HTTP on any free port, register under a name, and on SIGTERM leave in the right order: deregister,
 * finish what is under way, `close`, exit.
 */
export async function serve(options: {
  readonly service: string;
  readonly registry: ServiceRegistry;
  readonly handle: (request: ShopRequest) => ShopResponse | Promise<ShopResponse>;
  readonly close?: () => Promise<void>;
}): Promise<void> {
  const server = createServer((request, response) => void answer(options.handle, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const name = process.env.RUN_INSTANCE ?? options.service;
  await options.registry.register({
    service: options.service,
    id: `${name}-${process.pid}`,
    host: '127.0.0.1',
    port,
  });
  tell('ready', { service: options.service, port });
  process.once('SIGTERM', async () => {
    await options.registry.stop();
    await new Promise((resolve) => server.close(resolve).closeIdleConnections());
    await options.close?.();
    process.exit(0);
  });
}

async function answer(
  handle: (request: ShopRequest) => ShopResponse | Promise<ShopResponse>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let result: ShopResponse;
  try {
    result = await handle({
      method: request.method ?? 'GET',
      path: new URL(request.url ?? '/', 'http://shop').pathname,
      idempotencyKey: String(request.headers['idempotency-key'] ?? ''),
      body: await readJson(request),
    });
  } catch (error) {
    tell('error', { message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    result = [500, { error: 'internal' }];
  }
  const text = JSON.stringify(result[1]);
  response.writeHead(result[0], {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function readJson(request: IncomingMessage): Promise<ShopRequest['body']> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text === '' ? {} : JSON.parse(text);
}
