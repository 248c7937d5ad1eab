import { isoTime } from '../core/clock.ts';
import type { Sidecar, SidecarAddresses } from '../sidecar/sidecar.ts';
import type { CliIo } from './io.ts';

/** How the command tells what happens: in words, or one JSON object a line. */
export type LogFormat = 'text' | 'json';

/** One thing to tell: in words, and as fields. */
interface Told {
  readonly event: string;
  readonly text: string;
  readonly [field: string]: unknown;
}

/**
 * Tell what happens to a sidecar. In words on standard error, so that standard output holds the line with the addresses
 * and the access log only; as JSON everything on standard output, for whoever collects it.
 */
export function announce(sidecar: Sidecar, app: string, io: CliIo, format: LogFormat): void {
  const tell = ({ text, ...fields }: Told, to: (text: string) => void = io.error): void => {
    const time = isoTime(io.runtime.clock.wallTime());
    if (format === 'json') io.out(`${JSON.stringify({ time, app, ...fields })}\n`);
    else to(`holdfast sidecar ${app}: ${text}\n`);
  };
  sidecar.on('started', ({ addresses }) => tell(readyLine(addresses), io.out));
  sidecar.on('appStarted', ({ pid, restarts }) =>
    tell({ event: 'app-started', text: `app runs as process ${pid}`, pid, restarts }),
  );
  sidecar.on('appExited', ({ code, signal, restartIn }) => {
    const how = signal === null ? `with code ${code}` : `by ${signal}`;
    const then = restartIn === undefined ? '' : `; starting it again in ${Math.round(restartIn)} ms`;
    tell({ event: 'app-exited', text: `app ended ${how}${then}`, code, signal, restartIn });
  });
  sidecar.on('appReady', () => tell({ event: 'app-ready', text: 'app is healthy' }));
  sidecar.on('appLost', () => tell({ event: 'app-lost', text: 'app is not healthy' }));
  sidecar.on('draining', () => tell({ event: 'draining', text: 'draining' }));
  sidecar.on('stopped', () => tell({ event: 'stopped', text: 'stopped' }));
}

function readyLine({ inbound, outbound, admin }: SidecarAddresses): Told {
  const urls = { inbound: inbound.url, outbound: outbound.url, admin: admin.url };
  const words = Object.entries(urls).map(([name, url]) => `${name} ${url}`);
  return { event: 'ready', text: `ready, ${words.join(', ')}`, ...urls };
}
