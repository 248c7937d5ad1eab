/** How a step's name travels in an HTTP request, so that a participant can take each call once. */
import type { IncomingHttpHeaders } from 'node:http';
import { ProblemError } from '../core/errors.ts';
import type { BarrierCall } from '../ports/saga-barrier.ts';
import { type CallingContext, sagaCall } from './barrier.ts';

/** The headers of a saga's call. */
export interface SagaHeaders {
  /** Names the call: equal for every attempt at it. `<saga>/<step>/<operation>`. */
  readonly 'idempotency-key': string;
  /** The saga's id. */
  readonly 'holdfast-saga': string;
  /** The step's name. */
  readonly 'holdfast-step': string;
  readonly 'holdfast-operation': 'do' | 'undo';
}

/** The saga's call that an HTTP request makes. */
export interface SagaRequestHeaders extends BarrierCall {
  /** Value of `Idempotency-Key`. */
  readonly key: string;
}

/** Headers as a Web request or `node:http` has them. */
export type AnyHeaders = Pick<Headers, 'get'> | IncomingHttpHeaders;

/**
 * The headers to send with the HTTP request of a step, or of its undo.
 *
 * @example
 * await fetch(url, { method: 'POST', headers: { ...sagaHeaders(context) }, signal: context.signal })
 *
 * @throws InvalidOptionsError when it is not the context of a step.
 */
export function sagaHeaders(context: CallingContext): SagaHeaders & Record<string, string> {
  const { saga, step, operation } = sagaCall(context);
  return {
    'idempotency-key': context.key,
    'holdfast-saga': saga,
    'holdfast-step': step,
    'holdfast-operation': operation,
  };
}

/**
 * The call that a request makes, by its headers. `Idempotency-Key` may stand in quotes, as a structured header has it.
 *
 * @throws ProblemError with status 400 when a header is missing, or when they do not fit together.
 */
export function sagaRequest(headers: AnyHeaders): SagaRequestHeaders {
  const key = unquoted(required(headers, 'Idempotency-Key'));
  const saga = required(headers, 'Holdfast-Saga');
  const step = required(headers, 'Holdfast-Step');
  const operation = required(headers, 'Holdfast-Operation');
  if (operation !== 'do' && operation !== 'undo') {
    throw new ProblemError(
      400,
      `the header Holdfast-Operation is ${shown(operation)}; it must be do or undo`,
    );
  }
  if (saga.length > 200)
    throw new ProblemError(400, 'the header Holdfast-Saga is longer than 200 characters');
  if (step.length > 1_000)
    throw new ProblemError(400, 'the header Holdfast-Step is longer than 1,000 characters');
  const expected = `${saga}/${step}/${operation}`;
  if (key !== expected) {
    throw new ProblemError(
      400,
      `the header Idempotency-Key is ${shown(key)}; with the others it must be ${shown(expected)}`,
    );
  }
  return { saga, step, operation, key };
}

function required(headers: AnyHeaders, name: string): string {
  const lower = name.toLowerCase();
  const value = isWeb(headers) ? headers.get(lower) : headers[lower];
  if (Array.isArray(value)) throw new ProblemError(400, `the header ${name} was sent ${value.length} times`);
  const text = value?.trim() ?? '';
  if (text !== '') return text;
  throw new ProblemError(
    400,
    `the header ${name} is missing; a saga's call has those of sagaHeaders(context)`,
  );
}

function isWeb(headers: AnyHeaders): headers is Pick<Headers, 'get'> {
  return typeof headers.get === 'function';
}

function unquoted(key: string): string {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(key);
  return quoted === null ? key : quoted[1]!.replace(/\\(["\\])/g, '$1');
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
