import { fileRegistry } from '../adapters/file/registry.ts';
import { memoryRegistry } from '../adapters/memory/registry.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import type { RegistryBackend } from '../ports/registry-backend.ts';

/** What a registry's address may look like, for help and errors. */
export const registryAccepts =
  'file:<directory> (shared by the processes of one machine) or memory: (this process only)';

/**
 * The registry at an address.
 *
 * @throws InvalidOptionsError when there is no such kind of registry.
 */
export function registryAt(address: string, runtime: Runtime): RegistryBackend {
  const separator = address.indexOf(':');
  const kind = address.slice(0, Math.max(0, separator));
  const place = address.slice(separator + 1);
  if (kind === 'file' && place !== '') return fileRegistry({ directory: place, runtime });
  if (kind === 'memory' && place === '') return memoryRegistry({ runtime });
  throw new InvalidOptionsError('command line', [
    { field: '--registry', received: JSON.stringify(address), accepts: registryAccepts },
  ]);
}
