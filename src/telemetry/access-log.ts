import { isoTime } from '../core/clock.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { functionOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime, type Telemetry, type TelemetryEvent } from '../core/runtime.ts';

/** Options of {@link accessLog}. */
export interface AccessLogOptions {
  /** Takes each line, which ends with a line feed. Default: `process.stdout`. */
  readonly write?: ((line: string) => void) | undefined;
  /**
   * Whether to write the query string too. Default false, because queries carry tokens and personal data.
   */
  readonly query?: boolean | undefined;
  /** Whether to write the requests of this router. Default: of every router. */
  readonly routers?: ((name: string) => boolean) | undefined;
  /** Where the wall time comes from. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

const optionsSchema = z.strictObject({
  write: functionOption<(line: string) => void>().default(() => (line: string) => {
    process.stdout.write(line);
  }),
  query: z.boolean().default(false),
  routers: functionOption<(name: string) => boolean>().default(() => () => true),
  runtime: runtimeOption(),
});

/** Longest text of one field; what is longer is cut. */
const longestField = 2_048;

/**
 * A telemetry that writes one line of JSON for each request that a router finished: `time`, `router`, `method`, `path`,
 * `status`, `bytes`, `duration_ms`, and where known `route`, `service`, `instance`, `request_id`, `client`, `error`. Never
 * headers or bodies. Whatever a client sent, a line stays one line: every control character is escaped.
 *
 * @throws InvalidOptionsError
 */
export function accessLog(options: AccessLogOptions = {}): Telemetry {
  const { write, query, routers, runtime } = parseOptions('accessLog', optionsSchema, options);
  const { clock } = resolveRuntime(runtime);
  return {
    record(event) {
      if (event.primitive !== 'request-router' || event.type !== 'finished' || !routers(event.name)) return;
      write(`${oneLine({ time: isoTime(clock.wallTime()), router: event.name, ...fields(event, query) })}\n`);
    },
  };
}

function fields(event: TelemetryEvent, query: boolean): Record<string, unknown> {
  const payload = event.payload as Record<string, unknown>;
  const { method, path, status, bytes, duration, route, service, instance } = payload;
  const { requestId, clientAddress, error } = payload;
  return {
    method: text(method),
    path: text(typeof path === 'string' && !query ? path.split('?', 1)[0] : path),
    status,
    bytes,
    duration_ms: typeof duration === 'number' ? Math.round(duration * 1_000) / 1_000 : undefined,
    route: text(route),
    service: text(service),
    instance: text(instance),
    request_id: text(requestId),
    client: text(clientAddress),
    error: error === undefined ? undefined : text(messageOf(error)),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, longestField) : undefined;
}

/**
 * JSON escapes what is below U+0020; some readers also break lines at DEL and C1 controls (U+0085 is "next line") and
 * at U+2028 and U+2029, so those are escaped as well.
 */
function oneLine(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
