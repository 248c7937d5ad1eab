/** Orders of policies that are seldom what was meant, and what each of them means. */
import { Bulkhead } from './bulkhead.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { Fallback } from './fallback.ts';
import { Retry } from './retry.ts';
import { Timeout } from './timeout.ts';

type Kind = 'breaker' | 'bulkhead' | 'fallback' | 'retry' | 'timeout' | 'other';

function kindOf(policy: unknown): Kind {
  if (policy instanceof CircuitBreaker) return 'breaker';
  if (policy instanceof Bulkhead) return 'bulkhead';
  if (policy instanceof Fallback) return 'fallback';
  if (policy instanceof Retry) return 'retry';
  return policy instanceof Timeout ? 'timeout' : 'other';
}

interface Advice {
  /** Whether it applies, to policies and their kinds from the outermost to the innermost. */
  readonly applies: (kinds: readonly Kind[], policies: readonly unknown[]) => boolean;
  readonly says: string;
}

const isAround =
  (outer: Kind, inner: Kind) =>
  (kinds: readonly Kind[]): boolean => {
    const first = kinds.indexOf(outer);
    return first >= 0 && kinds.lastIndexOf(inner) > first;
  };

const advice: readonly Advice[] = [
  {
    applies: isAround('breaker', 'retry'),
    says:
      'a breaker is around a retry: it sees one outcome for all attempts together, so it learns late and its open ' +
      'state does not stop the attempts. Put the retry first, and each attempt asks the breaker and is counted by it',
  },
  {
    applies: (kinds) =>
      isAround('timeout', 'retry')(kinds) && kinds.lastIndexOf('timeout') < kinds.lastIndexOf('retry'),
    says:
      'a timeout is around a retry and none is inside: it limits all attempts and the waits between them together, ' +
      'so one attempt that hangs uses up the time of all. Put a timeout after the retry for a limit per attempt',
  },
  {
    applies: isAround('bulkhead', 'timeout'),
    says:
      'a bulkhead is around a timeout: its slot is free as soon as the time is over, though the work may still run, ' +
      'so more may run than its limit says. Put the timeout first, and the slot is held until the work ends',
  },
  {
    applies: (kinds) => isAround('retry', 'fallback')(kinds) || isAround('breaker', 'fallback')(kinds),
    says:
      'a fallback is inside a retry or a breaker, which takes its answer for a success: nothing is retried or counted. ' +
      'Put the fallback first',
  },
  {
    applies: (kinds, policies) =>
      isAround('retry', 'retry')(kinds) && !(policies[kinds.indexOf('retry')] as Retry).hasBudget,
    says:
      'a retry is around a retry: their attempts multiply. Retry in one place, or give the outer one a RetryBudget, ' +
      'which the inner one inherits',
  },
];

/** What is to be said of this order of policies, each a sentence or two. */
export function adviceOn(policies: readonly unknown[]): string[] {
  const kinds = policies.map(kindOf);
  return advice.filter(({ applies }) => applies(kinds, policies)).map(({ says }) => says);
}

const said: Set<string> = new Set();

/** Say it as a process warning, each thing once, and nothing in production. */
export function warnOfOrder(policies: readonly unknown[]): void {
  if (process.env.NODE_ENV === 'production') return;
  for (const sentence of adviceOn(policies)) {
    if (said.has(sentence)) continue;
    said.add(sentence);
    process.emitWarning(`pipeline: ${sentence}.`, {
      type: 'HoldfastWarning',
      code: 'HOLDFAST_PIPELINE_ORDER',
    });
  }
}
