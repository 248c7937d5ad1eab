import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';

export const canary = 'canary-7Qx';

/** Everything that somebody could print of a value, in one text. */
export function everyPrint(value: unknown): string {
  const depths = { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true } as const;
  const chunks: string[] = [];
  const stream = new Writable({ write: (chunk, _encoding, done) => done(void chunks.push(String(chunk))) });
  const console = new Console({ stdout: stream, stderr: stream });
  console.log(value);
  console.dir(value, { showHidden: true });
  console.table([value]);
  return [
    ...chunks,
    format('%s %o %O %j', value, value, value, value),
    inspect(value, depths),
    inspect(value, { ...depths, customInspect: false }),
    JSON.stringify(value, (_key, child) =>
      child instanceof Error ? { ...child, cause: child.cause } : child,
    ),
    ...causesOf(value),
  ].join('\n');
}

function causesOf(value: unknown): string[] {
  if (!(value instanceof Error)) return [];
  return [
    value.stack ?? '',
    value.message,
    inspect(value, { depth: 9, customInspect: false }),
    ...causesOf(value.cause),
  ];
}
