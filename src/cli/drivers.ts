import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MissingPackageError } from '../core/errors.ts';

/** A module of a driver, whichever way it exports. */
export type DriverModule = Readonly<Record<string, unknown>> & { readonly default?: unknown };

/**
 * Load a package that the user's project has: the command may be installed elsewhere. It is looked for from the current
 * directory, then from here.
 *
 * @throws MissingPackageError, with the install command, when it is in neither place.
 */
export async function loadDriver(name: string, feature: string): Promise<DriverModule> {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.url]) {
    const path = resolveFrom(from, name);
    if (path !== undefined) return (await import(pathToFileURL(path).href)) as DriverModule;
  }
  throw new MissingPackageError(name, feature);
}

function resolveFrom(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** A class that a driver exports: by its name, or as the default of a module or of CommonJS. */
export function classOf(module: DriverModule, name: string): new (...options: never[]) => unknown {
  const inside = (module.default ?? {}) as Readonly<Record<string, unknown>>;
  for (const value of [module[name], inside[name], module.default]) {
    if (typeof value === 'function') return value as new (...options: never[]) => unknown;
  }
  throw new TypeError(`the package has no ${name}`);
}
