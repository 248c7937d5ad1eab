import { createHash } from 'node:crypto';
import { StoreError } from '../../core/errors.ts';
import { commandOf, type RedisClient } from './client.ts';
import { type SagaScript, sagaScripts } from './saga-scripts.ts';

const digests: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(sagaScripts).map(([name, text]) => [name, createHash('sha1').update(text).digest('hex')]),
);

/** A user's client, with the store's scripts. */
export class SagaCommands {
  readonly command: ReturnType<typeof commandOf>;
  readonly prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.command = commandOf(client);
    this.prefix = prefix;
  }

  /** Run a script. @throws StoreError with what went wrong. */
  async evaluate(script: SagaScript, ...parameters: readonly string[]): Promise<unknown> {
    const words = ['1', this.prefix, ...parameters];
    try {
      return await this.command('EVALSHA', digests[script]!, ...words);
    } catch (error) {
      // The server does not know the script yet, or not any more; then nothing has happened.
      if (!String(error).includes('NOSCRIPT')) throw new StoreError('redis', script, error);
    }
    return this.run(script, 'EVAL', sagaScripts[script], ...words);
  }

  /** Run a command. @throws StoreError with what went wrong. */
  async run(operation: string, command: string, ...parameters: readonly string[]): Promise<unknown> {
    try {
      return await this.command(command, ...parameters);
    } catch (error) {
      throw new StoreError('redis', operation, error);
    }
  }
}
