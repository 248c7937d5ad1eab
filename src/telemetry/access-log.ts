import { isoTime } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { messageOf } from '../core/holdfast-error.ts';
import { durationOption, functionOption, parseOptions, runtimeOption, z } from '../core/options.ts';
import { type Runtime, resolveRuntime, type Telemetry, type TelemetryEvent } from '../core/runtime.ts';
import { LineBuffer } from './line-buffer.ts';

/** Options of {@link accessLog}. */
export interface AccessLogOptions {
  /** Takes one or more whole lines, each of which ends with a line feed. Default: `process.stdout`. */
  readonly write?: ((lines: string) => void) | undefined;
  /**
   * How much is gathered before it is written, in characters; 0 writes each line at once. Default 16,384 for
   * `process.stdout`, and 0 for a `write` of your own. What is gathered is written at the latest after
   * {@link AccessLogOptions.flushAfter} and when the process exits by itself.
   */
  readonly buffer?: number | undefined;
  /** The longest that a line waits to be written. Default 200 ms. */
  readonly flushAfter?: Duration | undefined;
  /**
   * Whether to write the query string too. Default false, because queries carry tokens and personal data.
   */
  readonly query?: boolean | undefined;
  /** Whether to write the requests of this router. Default: of every router. */
  readonly routers?: ((name: string) => boolean) | undefined;
  /** Where the wall time comes from. Default: the system's. */
  readonly runtime?: Partial<Runtime> | undefined;
}

/** A telemetry that writes lines. */
export interface AccessLog extends Telemetry {
  /** Write now what was gathered. */
  flush(): void;
}

const optionsSchema = z.strictObject({
  write: functionOption<(lines: string) => void>().optional(),
  buffer: z.int().min(0).max(16_777_216).optional(),
  flushAfter: durationOption(1).default(200),
  query: z.boolean().default(false),
  routers: functionOption<(name: string) => boolean>().optional(),
  runtime: runtimeOption(),
});

/** Longest text of one field; what is longer is cut. */
const longestField = 2_048;

/**
 * A telemetry that writes one line of JSON for each request that a router finished: `time`, `router`, `method`, `path`,
 * `status`, `bytes`, `duration_ms`, and where known `route`, `service`, `instance`, `request_id`, `trace_id`, `client`,
 * `aborted` (the client went away before its answer was whole; with status 499 before there was any), `error`. Never
 * headers or bodies. Whatever a client sent, a line stays one line: every control character is escaped.
 *
 * @throws InvalidOptionsError
 */
export function accessLog(options: AccessLogOptions = {}): AccessLog {
  const { write, buffer, flushAfter, query, routers, runtime } = parseOptions(
    'accessLog',
    optionsSchema,
    options,
  );
  const { clock } = resolveRuntime(runtime);
  const lines = new LineBuffer({
    write: write ?? ((text) => void process.stdout.write(text)),
    limit: buffer ?? (write === undefined ? 16_384 : 0),
    after: flushAfter,
    clock,
  });
  return {
    record(event) {
      if (event.primitive !== 'request-router' || event.type !== 'finished') return;
      if (routers !== undefined && !routers(event.name)) return;
      lines.add(lineOf(timeText(clock.wallTime()), event, query));
    },
    flush: () => lines.flush(),
  };
}

/**
 * The line, put together by hand: `JSON.stringify` of an object costs about twice as much, and this is done for each
 * request.
 */
function lineOf(time: string, { name, payload }: TelemetryEvent, query: boolean): string {
  const told = payload as Record<string, unknown>;
  const { path, status, bytes, duration, error, aborted } = told;
  let line = `{"time":"${time}"${familiar.router.of(name)}${familiar.method.of(told.method)}`;
  if (typeof path === 'string') line += text('path', pathText(path, told.query, query));
  if (typeof status === 'number') line += `,"status":${status}`;
  if (typeof bytes === 'number') line += `,"bytes":${bytes}`;
  if (typeof duration === 'number') line += `,"duration_ms":${Math.round(duration * 1_000) / 1_000}`;
  line += familiar.route.of(told.route) + familiar.service.of(told.service);
  line += familiar.instance.of(told.instance) + text('request_id', told.requestId);
  line += text('trace_id', told.traceId) + familiar.client.of(told.clientAddress);
  if (aborted === true) line += ',"aborted":true';
  if (error !== undefined) line += text('error', messageOf(error));
  return `${line}}\n`;
}

function pathText(path: string, query: unknown, wanted: boolean): string {
  if (!wanted) {
    const mark = path.indexOf('?');
    return mark === -1 ? path : path.slice(0, mark);
  }
  return typeof query === 'string' && query !== '' ? `${path}?${query}` : path;
}

function text(name: string, value: unknown): string {
  return typeof value === 'string' ? `,"${name}":${quoted(value)}` : '';
}

/** The same, for a field whose few values come again and again. */
class FamiliarField {
  readonly #name: string;
  readonly #texts: Map<unknown, string> = new Map();

  constructor(name: string) {
    this.#name = name;
  }

  of(value: unknown): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    const made = text(this.#name, value);
    if (this.#texts.size >= 1_000) this.#texts.clear();
    this.#texts.set(value, made);
    return made;
  }
}

const familiar = {
  router: new FamiliarField('router'),
  method: new FamiliarField('method'),
  route: new FamiliarField('route'),
  service: new FamiliarField('service'),
  instance: new FamiliarField('instance'),
  client: new FamiliarField('client'),
};

/** Printable ASCII without quote and backslash stands for itself. */
const plain = /^[ !#-[\]-~]*$/;

/**
 * A string as JSON. JSON escapes what is below U+0020; some readers also break lines at DEL and C1 controls (U+0085 is
 * "next line") and at U+2028 and U+2029, so those are escaped as well.
 */
function quoted(value: string): string {
  const short = value.length > longestField ? value.slice(0, longestField) : value;
  if (plain.test(short)) return `"${short}"`;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

let lastTime = Number.NaN;
let lastText = '';

/** Many requests end in the same millisecond. */
function timeText(wallTime: number): string {
  const millisecond = Math.floor(wallTime);
  if (millisecond !== lastTime) {
    lastTime = millisecond;
    lastText = isoTime(millisecond);
  }
  return lastText;
}
