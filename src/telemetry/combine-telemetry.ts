import { warnOf } from '../core/log.ts';
import type { Telemetry } from '../core/runtime.ts';

/**
 * One telemetry that tells several, in order; undefined ones are left out. One that throws is reported as a process
 * warning and does not keep the event from the others.
 */
export function combineTelemetry(...telemetries: readonly (Telemetry | undefined)[]): Telemetry {
  const all = telemetries.filter((telemetry) => telemetry !== undefined);
  const only = all.length === 1 ? all[0] : undefined;
  if (only !== undefined) return only;
  return {
    record(event) {
      for (const telemetry of all) {
        try {
          telemetry.record(event);
        } catch (error) {
          warnOf(`a telemetry threw at '${event.type}' of ${event.primitive} ${event.name}`, error);
        }
      }
    },
  };
}
