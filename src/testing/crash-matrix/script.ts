/** What goes wrong in one run, written down so that it can be run again. */
import { InvalidOptionsError } from '../../core/errors.ts';
import { type CrashMatrixFault, crashMatrixFaults } from './matrix-options.ts';

/** At the n-th boundary of a run, from 1, this goes wrong. */
export interface ScriptedFault {
  readonly boundary: number;
  readonly fault: CrashMatrixFault;
}

/** Such as `7 answer lost > 12 crash before`. */
export function formatPath(script: readonly ScriptedFault[]): string {
  return script.map(({ boundary, fault }) => `${boundary} ${fault}`).join(' > ');
}

/** @throws InvalidOptionsError when it is none that {@link formatPath} made. */
export function parsePath(path: string): readonly ScriptedFault[] {
  if (path === '') return [];
  return path.split(' > ').map((part) => {
    const [, boundary, fault] = /^([1-9]\d{0,6}) (.+)$/.exec(part) ?? [];
    if (boundary !== undefined && crashMatrixFaults.includes(fault as CrashMatrixFault)) {
      return { boundary: Number(boundary), fault: fault as CrashMatrixFault };
    }
    const accepts = 'the path of a failure, such as 7 answer lost > 12 crash before';
    throw new InvalidOptionsError('crashMatrix', [
      { field: 'path', received: JSON.stringify(path), accepts },
    ]);
  });
}
