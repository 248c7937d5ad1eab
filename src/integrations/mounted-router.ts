import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ReadBody } from './parsed-body.ts';

/** What is needed of a `RequestRouter`. */
export interface MountedRouter {
  /** Its door for a server of your own. */
  node(request: IncomingMessage, response: ServerResponse, handOver: HandedOver): void;
}

/** What a framework knows of a request that it hands over. */
export interface HandedOver {
  /** The body, when it was read already. */
  readonly body?: ReadBody | undefined;
  /** The path and query below the mount. */
  readonly target?: string | undefined;
  /** Called in place of the answer 404 when no route leads there. */
  readonly unmatched?: (() => void) | undefined;
}
