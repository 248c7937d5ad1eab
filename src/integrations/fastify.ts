import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MountedRouter } from './mounted-router.ts';
import { readBodyOf } from './parsed-body.ts';

export type { HandedOver, MountedRouter } from './mounted-router.ts';
export type { ReadBody } from './parsed-body.ts';

/** What is needed of a request of Fastify. */
export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
  readonly body: unknown;
}

/** What is needed of a reply of Fastify. */
export interface FastifyReplyLike {
  readonly raw: ServerResponse;
  /** Tell Fastify that somebody else answers. */
  hijack(): unknown;
  /** What hooks have set so far. */
  getHeaders(): Readonly<Record<string, number | string | string[] | undefined>>;
}

/** What is needed of an instance of Fastify. */
export interface FastifyInstanceLike {
  /** The path that the plugin was registered under. */
  readonly prefix: string;
  /** Read no body any more. */
  removeAllContentTypeParsers(): void;
  /** Say how bodies of a type are read. */
  addContentTypeParser(
    contentType: string,
    parser: (request: never, payload: never, done: (error: Error | null, body?: unknown) => void) => void,
  ): unknown;
  /** A route for every method. */
  all(path: string, handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => void): unknown;
}

/** Options of {@link fastifyRouter}. */
export interface FastifyRouterOptions {
  readonly router: MountedRouter;
  /** The path to mount the router under; Fastify's own option. Default: everything. */
  readonly prefix?: string | undefined;
}

/**
 * A `RequestRouter` as a plugin of Fastify 4 and 5: `app.register(fastifyRouter, { router, prefix: '/api' })`. Its
 * patterns are matched below the prefix. Fastify's parsers are left out for these routes, so that bodies stream; its
 * hooks run, and the headers that they set are kept. Routes for methods that Fastify does not know have to be added by
 * `addHttpMethod` before.
 */
export function fastifyRouter(
  instance: FastifyInstanceLike,
  { router }: FastifyRouterOptions,
  done: (error?: Error) => void,
): void {
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null));
  const handle = fastifyHandler(router, instance.prefix);
  instance.all('/', handle);
  instance.all('/*', handle);
  done();
}

/**
 * The same as a handler for a route of your own, also behind a parser that has read the body:
 * `app.all('/api/*', fastifyHandler(router, '/api'))`.
 *
 * @param prefix what is taken off the path. Default: nothing.
 */
export function fastifyHandler(
  router: MountedRouter,
  prefix = '',
): (request: FastifyRequestLike, reply: FastifyReplyLike) => void {
  const mount = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  return ({ raw, body }, reply) => {
    const target = below(raw.url ?? '/', mount);
    const read = readBodyOf(raw, body);
    reply.hijack();
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) reply.raw.setHeader(name, value);
    }
    router.node(raw, reply.raw, { body: read, target });
  };
}

/** A target without the mount. One that spells the mount in another way is left whole, and finds no route. */
function below(url: string, mount: string): string {
  if (mount === '' || !url.startsWith(mount)) return url;
  const rest = url.slice(mount.length);
  if (rest === '' || rest.startsWith('?')) return `/${rest}`;
  return rest.startsWith('/') ? rest : url;
}
