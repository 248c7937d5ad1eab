/** One round of load on one contender, by wrk. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cores, pinned, processorSeconds, residentMebibytes } from './machine.mjs';

const script = fileURLToPath(new URL('report.lua', import.meta.url));

/**
 * What a contender did in so many seconds: requests a second, microseconds of its processor time for each, milliseconds
 * that half and that 99 of 100 of them took, MiB that it occupies afterwards.
 */
export async function round({ url, pid }, { path, post }, seconds) {
  const before = processorSeconds(pid);
  const result = await wrk(`${url}${path}`, post, seconds);
  const { failed, ...kinds } = result.errors;
  if (failed > 0) throw new Error(`${failed} requests to ${url}${path} failed: ${JSON.stringify(kinds)}`);
  return {
    rate: result.requests / (result.microseconds / 1e6),
    cpu: ((processorSeconds(pid) - before) * 1e6) / result.requests,
    p50: result.p50 / 1_000,
    p99: result.p99 / 1_000,
    memory: residentMebibytes(pid),
    requests: result.requests,
  };
}

/** Load until V8 has compiled what there is to compile: so many requests, on a busy machine in more seconds. */
export async function warm(target, request) {
  for (let done = 0, turns = 0; done < 20_000 && turns < 10; turns += 1) {
    done += (await round(target, request, 2)).requests;
  }
}

async function wrk(url, post, seconds) {
  const environment = { ...process.env };
  if (post !== undefined) environment.POST = String(post);
  const args = ['-t1', '-c64', '--timeout', '30s', `-d${seconds}s`, '-s', script, url];
  const child = pinned(cores.load, 'wrk', args, { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`wrk ended with ${code}: ${output}`);
  return JSON.parse(output.trim().split('\n').at(-1));
}
