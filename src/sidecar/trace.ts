/** Identity of requests: `x-request-id`, and W3C Trace Context's `traceparent` (w3.org/TR/trace-context). */

/** What a request id from outside may look like: it ends up in logs, headers and dashboards. */
const acceptableRequestId = /^[\w.:@/+=-]{1,128}$/;

const traceparentPattern =
  /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-.*)?$/;

/** The request id to go on with: the one that came when it is acceptable, else a new one. */
export function requestIdOf(received: string | undefined, id: () => string): string {
  return received !== undefined && acceptableRequestId.test(received) ? received : id();
}

/** Whether a `traceparent` is one that receivers must accept. Version 00 has exactly four parts. */
export function isTraceparent(value: string | undefined): boolean {
  const match = traceparentPattern.exec(value ?? '');
  return match !== null && (match[1] !== '00' || value?.length === 55);
}

/** A new `traceparent`: version 00, random ids, the flag saying whether the trace is sampled. */
export function newTraceparent(random: () => number, sampled: boolean): string {
  return `00-${hex(32, random)}-${hex(16, random)}-${sampled ? '01' : '00'}`;
}

/** Random hexadecimal digits that are not all zero. */
function hex(digits: number, random: () => number): string {
  let text = '';
  while (text.length < digits)
    text += Math.floor(random() * 0x1_0000)
      .toString(16)
      .padStart(4, '0');
  return /^0+$/.test(text) ? `${text.slice(1)}1` : text;
}
