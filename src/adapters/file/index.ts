export { type FileConfigOptions, fileConfig } from './config.ts';
export {
  type FileRegistry,
  type FileRegistryEvents,
  type FileRegistryOptions,
  fileRegistry,
} from './registry.ts';
export type { SkippedFile } from './registry-shelf.ts';
