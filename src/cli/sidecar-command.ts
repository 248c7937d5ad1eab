import { type Command, Option } from 'commander';
import { InvalidOptionsError } from '../core/errors.ts';
import type { SidecarOptions } from '../sidecar/options.ts';
import { Sidecar } from '../sidecar/sidecar.ts';
import { countArgument, durationArgument, environmentArgument, portArgument } from './arguments.ts';
import type { ExitCode } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { registryAccepts, registryAt } from './registry-address.ts';
import { serve } from './serve.ts';
import { announce, type LogFormat } from './sidecar-log.ts';
import {
  mergeSettings,
  type PlainSettings,
  readSettings,
  type SidecarFlags,
  settingsOf,
} from './sidecar-settings.ts';

/** The flags that are not settings of the sidecar itself. */
interface CommandFlags extends SidecarFlags {
  readonly config?: string;
  readonly log: LogFormat;
  readonly accessLog: boolean;
}

/** `holdfast sidecar …`: run a sidecar beside an app. */
export function addSidecarCommand(program: Command, io: CliIo, done: (code: ExitCode) => void): void {
  const command = program
    .command('sidecar')
    .description('Run a sidecar beside an app; with a command after --, start the app and keep it running.')
    .argument('[command...]', 'after --: the program that is the app, and its arguments');
  for (const option of [...appOptions(), ...listenerOptions(), ...behaviourOptions()])
    command.addOption(option);
  command.action(async (words: string[], flags: CommandFlags) => {
    done(await runSidecar(words, flags, io));
  });
}

function appOptions(): Option[] {
  return [
    new Option('--app <name>', "the app's name in the registry (required)"),
    new Option('--app-port <port>', 'port that the app listens on (required)').argParser(portArgument),
    new Option('--app-host <address>', 'address that the app listens on (default: 127.0.0.1)'),
    new Option(
      '--health <path>',
      'path that answers below 400 when the app is healthy (default: a connection)',
    ),
    new Option('--env <NAME=value>', 'environment of the app; may be repeated').argParser(
      environmentArgument,
    ),
    new Option('--start-timeout <time>', 'how long the app may take to be healthy (default: 30s)').argParser(
      durationArgument,
    ),
    new Option('--stop-timeout <time>', 'how long the app may take to end (default: 10s)').argParser(
      durationArgument,
    ),
  ];
}

function listenerOptions(): Option[] {
  return [
    new Option('--listen <port>', 'inbound port, in front of the app; 0 for any (default: 0)').argParser(
      portArgument,
    ),
    new Option('--host <address>', 'inbound address; 0.0.0.0 for all (default: 127.0.0.1)'),
    new Option('--advertise <host>', 'host that others reach this one by (default: from --host)'),
    new Option('--outbound <port>', 'port for calls of the app to services (default: 0)').argParser(
      portArgument,
    ),
    new Option('--admin <port>', 'port for /healthz, /readyz, /metrics (default: 0)').argParser(portArgument),
    new Option('--admin-host <address>', 'address of the admin listener (default: 127.0.0.1)'),
    new Option('--registry <address>', `${registryAccepts} (required)`),
  ];
}

function behaviourOptions(): Option[] {
  return [
    new Option('--timeout <time>', 'limit of each attempt at a call (default: 10s)').argParser(
      durationArgument,
    ),
    new Option('--retries <count>', 'attempts after the first one (default: 2)').argParser(countArgument),
    new Option(
      '--drain-delay <time>',
      'time between deregistering and refusing requests (default: 500ms)',
    ).argParser(durationArgument),
    new Option('--drain-timeout <time>', 'how long requests may take to finish (default: 30s)').argParser(
      durationArgument,
    ),
    new Option('--config <file>', 'YAML or JSON file with the same settings and more; flags win'),
    new Option('--log <format>', 'how to tell what happens').choices(['text', 'json']).default('text'),
    new Option('--no-access-log', 'do not write a line for each request'),
  ];
}

async function runSidecar(words: readonly string[], flags: CommandFlags, io: CliIo): Promise<ExitCode> {
  const file = flags.config === undefined ? {} : await readSettings(flags.config);
  const settings = mergeSettings(file, settingsOf(flags, words));
  const options = optionsOf(settings, flags, io);
  const sidecar = new Sidecar(options);
  announce(sidecar, options.app.name, io, flags.log);
  return serve(sidecar, io);
}

/** The sidecar checks every setting itself; only what plain text cannot say is put in its place here. */
function optionsOf(settings: PlainSettings, flags: CommandFlags, io: CliIo): SidecarOptions {
  const { registry } = settings;
  if (typeof registry !== 'string') {
    throw new InvalidOptionsError('command line', [
      { field: '--registry', received: 'nothing', accepts: registryAccepts },
    ]);
  }
  return {
    accessLog: flags.accessLog ? io.out : false,
    ...settings,
    registry: registryAt(registry, io.runtime),
    runtime: io.runtime,
  } as unknown as SidecarOptions;
}
