import { parseOptions, runtimeOption, z } from '../../core/options.ts';
import { type Runtime, resolveRuntime } from '../../core/runtime.ts';
import type { Guard } from '../exchange/exchange.ts';
import type { RequestHeaders } from '../http/headers.ts';

/** Options of {@link traceContext}. */
export interface TraceContextOptions {
  /**
   * Whose traces are continued: those of the router's `trustedProxies` (`trusted`, the default), everyone's (`always`)
   * or nobody's (`never`). For anyone else a new trace begins, and `tracestate` and `baggage` are dropped.
   */
  readonly accept?: 'trusted' | 'always' | 'never' | undefined;
  /** Of the traces that begin here, the share that is marked as sampled, 0 to 1. Default 1. */
  readonly sample?: number | undefined;
  readonly runtime?: Partial<Runtime> | undefined;
}

/** Where a request stands in a trace. */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly parentId: string;
  /** Two hexadecimal digits; `01` for sampled. */
  readonly flags: string;
}

const optionsSchema = z.strictObject({
  accept: z.enum(['trusted', 'always', 'never']).default('trusted'),
  sample: z.number().min(0).max(1).default(1),
  runtime: runtimeOption(),
});

const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * Read a `traceparent` (W3C Trace Context, 3.2). A version that is not known yet is read as far as it is known.
 *
 * @returns undefined when it is not valid.
 */
export function parseTraceParent(value: string): TraceParent | undefined {
  const [, version, traceId, parentId, flags, more] = shape.exec(value) ?? [];
  if (traceId === undefined || parentId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined;
  return { traceId, parentId, flags };
}

/** One member of a `tracestate`. */
const member =
  /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

function validState(value: string): boolean {
  const members = value
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const keys = new Set(members.map((text) => text.slice(0, text.indexOf('='))));
  return members.length <= 32 && keys.size === members.length && members.every((text) => member.test(text));
}

/**
 * A guard that continues or begins a distributed trace (W3C Trace Context): upstreams get a `traceparent` with the
 * trace's id and a new id for this hop. It records nothing by itself; the `finished` event and access logs carry the
 * trace's id.
 *
 * @throws InvalidOptionsError naming each option that is not acceptable.
 */
export function traceContext(options: TraceContextOptions = {}): Guard {
  const { accept, sample, runtime } = parseOptions('traceContext', optionsSchema, options);
  const { random } = resolveRuntime(runtime);
  return (exchange) => {
    const { headers, trusted } = exchange;
    const counts = accept === 'always' || (accept === 'trusted' && trusted);
    const before = counts ? readParent(headers) : undefined;
    if (before === undefined) {
      headers.delete('tracestate');
      headers.delete('baggage');
    } else if (!validState(headers.get('tracestate') ?? '')) {
      headers.delete('tracestate');
    }
    const traceId = before?.traceId ?? hex(random, 4);
    // Of the flags only "sampled" is defined for all versions.
    const sampled = before === undefined ? random() < sample : (Number.parseInt(before.flags, 16) & 1) === 1;
    exchange.traceId = traceId;
    headers.set('traceparent', `00-${traceId}-${hex(random, 2)}-${sampled ? '01' : '00'}`);
  };
}

function readParent(headers: RequestHeaders): TraceParent | undefined {
  const values = headers.getAll('traceparent');
  return values.length === 1 ? parseTraceParent(values[0]!.trim()) : undefined;
}

/** So many times eight hexadecimal digits, not all of them 0. */
function hex(random: () => number, words: number): string {
  let text = '';
  for (let word = 0; word < words; word += 1) {
    text += Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  }
  return /^0+$/.test(text) ? `${text.slice(1)}1` : text;
}
