import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { InvalidOptionsError } from '../core/errors.ts';
import { HoldfastError, messageOf } from '../core/holdfast-error.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { addRegistryCommand } from './registry-command.ts';
import { addSagaCommand } from './saga-command.ts';
import { addSidecarCommand } from './sidecar-command.ts';

/** The `holdfast` command; commands report their exit code through `done`. */
export function buildProgram(io: CliIo, done: (code: ExitCode) => void): Command {
  const program = new Command('holdfast')
    .description('Run and inspect the primitives of holdfast from the command line.')
    .version(packageVersion(), '-v, --version')
    .showHelpAfterError('(add --help for what is accepted)')
    .enablePositionalOptions()
    .configureOutput({ writeOut: io.out, writeErr: io.error })
    .exitOverride();
  addSidecarCommand(program, io, done);
  addRegistryCommand(program, io);
  addSagaCommand(program, io, done);
  return program;
}

/**
 * Run the command with these arguments (without node and script). Never rejects.
 *
 * @returns 0 when it did what was asked, 1 when it could not, 2 when it was not asked properly.
 */
export async function runCli(args: readonly string[], io: CliIo): Promise<ExitCode> {
  let code: ExitCode = exitCodes.success;
  const program = buildProgram(io, (ended) => {
    code = ended;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return report(error, io);
  }
}

function report(error: unknown, io: CliIo): ExitCode {
  // Commander has printed its own already; asking for help or the version is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
  const hint = error instanceof HoldfastError ? ` [${error.code}]` : '';
  io.error(`holdfast: ${messageOf(error)}${hint}\n`);
  return error instanceof InvalidOptionsError ? exitCodes.usage : exitCodes.failure;
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
