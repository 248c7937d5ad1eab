/** Whom to tell how a body went. */
export interface BodyListener {
  /** It has ended, or its reader has cancelled it. */
  readonly ended: () => void;
  /** It broke off. */
  readonly broke: (error: unknown) => void;
}

/**
 * How much of a body is read before anybody asks. A short one so ends by itself, also when its caller only looks at the
 * status; a long one waits for its reader.
 */
const readAhead = 65_536;

/** The same response, whose body tells how it went. */
export function followBody(
  response: Response,
  body: ReadableStream<Uint8Array>,
  listener: BodyListener,
): Response {
  return standIn(followStream(body, listener), response);
}

function followStream(
  body: ReadableStream<Uint8Array>,
  { ended, broke }: BodyListener,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    try {
      const { done, value } = await reader.read();
      if (!done) return controller.enqueue(value);
      ended();
      controller.close();
    } catch (error) {
      broke(error);
      controller.error(error);
    }
  };
  const cancel = (reason: unknown): Promise<void> => {
    ended();
    return reader.cancel(reason);
  };
  return new ReadableStream({ pull, cancel }, new ByteLengthQueuingStrategy({ highWaterMark: readAhead }));
}

/** A response made by hand has no URL; this one, and its clones, have that of the response that it stands for. */
function standIn(body: ReadableStream<Uint8Array> | null, original: Response): Response {
  const response = new Response(body, original);
  for (const key of ['url', 'redirected', 'type'] as const) {
    Object.defineProperty(response, key, { value: original[key] });
  }
  const clone = (): Response => standIn(Response.prototype.clone.call(response).body, original);
  Object.defineProperty(response, 'clone', { value: clone });
  return response;
}
