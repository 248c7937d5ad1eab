import { userInfo } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseIsoTime } from '../core/clock.ts';
import { type Duration, parseDuration } from '../core/duration.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import { HoldfastError, messageOf } from '../core/holdfast-error.ts';
import type { RepairAction, SagaRecord, SagaStatus } from '../ports/saga-store.ts';
import { diagram } from '../saga/diagram.ts';
import { SagaOperator } from '../saga/operator.ts';
import { timeline } from '../saga/timeline.ts';
import { countArgument, durationArgument } from './arguments.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { definitionOf } from './saga-definitions.ts';
import { sagaDetails, sagaTable } from './saga-print.ts';
import { openSagaStore, sagaStoreAccepts } from './saga-store-address.ts';

interface StoreFlags {
  readonly store: string;
}

interface ListFlags extends StoreFlags {
  readonly saga?: string;
  readonly status?: readonly SagaStatus[];
  readonly definitionVersion?: number;
  readonly idPrefix?: string;
  readonly since?: string;
  readonly before?: string;
  readonly limit: number;
  readonly json?: boolean;
}

interface ShowFlags extends StoreFlags {
  readonly json?: boolean;
  readonly diagram?: boolean;
  readonly sagas?: string;
}

interface RepairFlags extends StoreFlags {
  readonly by?: string;
  readonly reason: string;
  readonly json?: boolean;
}

interface SkipFlags extends RepairFlags {
  readonly step?: string;
}

interface CancelFlags extends RepairFlags {
  readonly wait?: Duration;
}

const statuses: readonly SagaStatus[] = [
  ...(['running', 'waiting', 'compensating', 'completed', 'compensated', 'parked', 'resolved'] as const),
];

/** `holdfast saga …`: look at sagas and repair them, by their store alone. */
export function addSagaCommand(program: Command, io: CliIo, done: (code: ExitCode) => void): void {
  const saga = program
    .command('saga')
    .description('Look at sagas in their store, and repair what is parked.');
  const add = (name: string, description: string): Command =>
    saga.command(name).description(description).addOption(storeOption());
  addLooking(add, io);
  for (const [action, description] of Object.entries(repairs)) {
    const command = withReason(add(`${action} <ids...>`, description));
    if (action === 'skip') command.option('--step <name>', skippedStep);
    command.action(async (ids: string[], flags: SkipFlags) => {
      done(await repair(action as RepairAction, ids, flags, io));
    });
  }
  withReason(add('cancel <id>', 'Ask that a saga turns back.'))
    .option('--wait <time>', 'how long to wait for the decision (default: not at all)', durationArgument)
    .action(async (id: string, flags: CancelFlags) => done(await cancel(id, flags, io)));
  add('migrate', "Create the store's tables, or bring them up to date.").action((flags: StoreFlags) =>
    withOperator(flags, io, true, async (_operator, name) => io.out(`${name}: the tables are up to date\n`)),
  );
}

/** Also by the environment, since everybody on a machine can see the arguments of a command. */
function storeOption(): Option {
  return new Option('--store <address>', sagaStoreAccepts).env('HOLDFAST_SAGA_STORE').makeOptionMandatory();
}

const repairs: Readonly<Record<RepairAction, string>> = {
  retry: 'Let parked sagas be tried again where they parked.',
  skip: 'Let parked sagas go on as if the step, or the undo, at which they parked had happened.',
  resolve: 'Say that parked sagas were settled outside: nothing more is done or undone.',
};

const skippedStep =
  'only what is parked at this step; needed at a pivot, of which it says that it did happen';

function addLooking(add: (name: string, description: string) => Command, io: CliIo): void {
  add('list', 'List sagas, newest first.')
    .option('--saga <name>', 'of this definition only')
    .addOption(new Option('--status <status...>', 'in one of these only').choices(statuses))
    .option('--definition-version <number>', 'begun with this version only', countArgument)
    .option('--id-prefix <text>', 'whose id begins so')
    .option('--since <time>', 'created then or later: a date, or how long ago', timeArgument)
    .option('--before <time>', 'created before then: a date, or how long ago', timeArgument)
    .addOption(new Option('--limit <count>', 'at most so many').argParser(countArgument).default(100))
    .option('--json', 'print JSON: an array of records')
    .action((flags: ListFlags) => list(flags, io));
  add('show <id>', 'Show one saga and what happened to it.')
    .option('--json', 'print JSON: the record, with its timeline and its diagram')
    .option('--diagram', 'print it as Mermaid, too; needs --sagas')
    .option('--sagas <file>', 'a JavaScript module that exports the definitions')
    .action((id: string, flags: ShowFlags) => show(id, flags, io));
}

function withReason(command: Command): Command {
  return command
    .requiredOption('--reason <text>', 'why, for whoever reads the record later')
    .option('--by <name>', 'who does it (default: the user of the system)')
    .option('--json', 'print JSON');
}

async function withOperator<T>(
  { store: address }: StoreFlags,
  { runtime }: CliIo,
  create: boolean,
  work: (operator: SagaOperator, store: string) => Promise<T>,
): Promise<T> {
  const { store, close } = await openSagaStore(address, create);
  try {
    return await work(await new SagaOperator({ store, runtime }).start(), store.name);
  } finally {
    await close();
  }
}

async function list({ json, since, before, ...flags }: ListFlags, io: CliIo): Promise<void> {
  const now = io.runtime.clock.wallTime();
  const query = {
    ...{ saga: flags.saga, status: flags.status, idPrefix: flags.idPrefix, limit: flags.limit },
    definitionVersion: flags.definitionVersion,
    createdFrom: wallTime(since, now),
    createdBefore: wallTime(before, now),
  };
  const records = flags.limit === 0 ? [] : await withOperator(flags, io, false, (o) => o.list(query));
  io.out(json === true ? asJson(records) : sagaTable(records));
}

async function show(
  id: string,
  { json, diagram: drawn, sagas, ...flags }: ShowFlags,
  io: CliIo,
): Promise<void> {
  if (drawn === true && sagas === undefined) {
    const accepts = 'a JavaScript module that exports the definitions, since --diagram was given';
    throw new InvalidOptionsError('command line', [{ field: '--sagas', received: 'nothing', accepts }]);
  }
  const record = await withOperator(flags, io, false, (operator) => operator.get(id));
  const drawing = drawn === true ? diagram(await definitionOf(sagas!, record), record) : undefined;
  if (json === true) io.out(asJson({ ...record, timeline: timeline(record), diagram: drawing }));
  else io.out(sagaDetails(record) + (drawing === undefined ? '' : `\n${drawing}`));
}

/** One after another; each is told, and one that fails does not keep the others. */
async function repair(
  action: RepairAction,
  ids: readonly string[],
  flags: SkipFlags,
  io: CliIo,
): Promise<ExitCode> {
  const by = flags.by ?? systemUser();
  const why = { by, reason: flags.reason, ...(flags.step !== undefined && { step: flags.step }) };
  return withOperator(flags, io, false, async (operator) => {
    const repaired: SagaRecord[] = [];
    for (const id of ids) {
      try {
        repaired.push(await operator[action](id, why));
        if (flags.json !== true) io.out(`${id}: ${repaired.at(-1)?.status}\n`);
      } catch (error) {
        if (error instanceof InvalidOptionsError) throw error;
        const code = error instanceof HoldfastError ? ` [${error.code}]` : '';
        io.error(`holdfast: ${messageOf(error)}${code}\n`);
      }
    }
    if (flags.json === true) io.out(asJson(repaired));
    return repaired.length === ids.length ? exitCodes.success : exitCodes.failure;
  });
}

async function cancel(
  id: string,
  { wait, json, reason, ...flags }: CancelFlags,
  io: CliIo,
): Promise<ExitCode> {
  const by = flags.by ?? systemUser();
  const outcome = await withOperator(flags, io, false, (o) => o.cancel(id, { by, reason, wait }));
  if (json === true) io.out(asJson({ id, ...(outcome ?? { outcome: 'asked' }) }));
  else if (outcome === undefined) io.out(`${id}: it was asked to turn back; that is not decided yet\n`);
  else if (outcome.outcome === 'accepted') io.out(`${id}: it turned back\n`);
  else io.out(`${id}: too late, it is ${outcome.status}\n`);
  const undecided = outcome === undefined && wait !== undefined;
  return undecided || outcome?.outcome === 'tooLate' ? exitCodes.failure : exitCodes.success;
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    const accepts = 'who does it, since the system does not say';
    throw new InvalidOptionsError('command line', [{ field: '--by', received: 'nothing', accepts }]);
  }
}

function timeArgument(text: string): string {
  if (wallTime(text, 0) === undefined) {
    throw new InvalidArgumentError(
      "It must be a date, such as 2026-01-31T09:00:00Z, or how long ago, such as '2h'.",
    );
  }
  return text;
}

function wallTime(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  return parseIsoTime(text);
}

function asJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
