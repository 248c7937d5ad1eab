import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Policy, Work } from '../../src/core/policy.ts';
import { retry } from '../../src/resilience/retry.ts';

export const eager = (attempts: number): Policy => retry({ attempts, backoff: 0 });

/** A policy that is what this function makes of each call. */
export function policyOf(run: (work: Work<unknown>) => Promise<unknown>): Policy {
  return { run: run as Policy['run'], wrap: () => () => Promise.reject(new Error('unused')) };
}

export async function refusedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
