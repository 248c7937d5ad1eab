import type { Command } from 'commander';
import type { ServiceInstance } from '../ports/registry-backend.ts';
import type { CliIo } from './io.ts';
import { registryAccepts, registryAt } from './registry-address.ts';
import { table } from './table.ts';

interface ListFlags {
  readonly registry: string;
  readonly service?: string;
  readonly json?: boolean;
}

/** `holdfast registry …`: look into a registry. */
export function addRegistryCommand(program: Command, io: CliIo): void {
  program
    .command('registry')
    .description('Look into a service registry.')
    .command('list')
    .description('List services and their instances.')
    .requiredOption('--registry <address>', registryAccepts)
    .option('--service <name>', 'this service only')
    .option('--json', 'print JSON: an array of { service, instances }')
    .action((flags: ListFlags) => list(flags, io));
}

interface Listed {
  readonly service: string;
  readonly instances: readonly ServiceInstance[];
}

async function list(flags: ListFlags, io: CliIo): Promise<void> {
  const registry = registryAt(flags.registry, io.runtime);
  try {
    const names = flags.service === undefined ? await registry.services() : [flags.service];
    const services = await Promise.all(
      names.map(async (service) => ({ service, instances: byId(await registry.list(service)) })),
    );
    io.out(flags.json === true ? `${JSON.stringify(services, undefined, 2)}\n` : asTable(services));
  } finally {
    await registry.close();
  }
}

function byId(instances: readonly ServiceInstance[]): ServiceInstance[] {
  return [...instances].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function asTable(services: readonly Listed[]): string {
  const rows = services.flatMap(({ service, instances }) =>
    instances.map((i) => [service, i.id, i.url, i.status, i.version ?? '-', i.zone ?? '-']),
  );
  if (rows.length === 0) return 'no instances\n';
  return table(['SERVICE', 'INSTANCE', 'URL', 'STATUS', 'VERSION', 'ZONE'], rows);
}
