/** The checkout: one transaction across four services, none of which knows of the others. */
import {
  CircuitBreaker,
  CircuitOpenError,
  NoInstanceError,
  type Policy,
  pipeline,
  refuse,
  retry,
  type ServiceRegistry,
  saga,
  timeout,
} from 'holdfast';
import { z } from 'zod';
import { tell } from './service.ts';
import type { loadSettings } from './settings.ts';

/** What a customer orders. */
export const Order = z.object({
  id: z.string().regex(/^[\w-]{1,64}$/),
  customer: z.string(),
  sku: z.string(),
  quantity: z.number().int().min(1),
  amount: z.number().int().min(1),
});

type Settings = Awaited<ReturnType<typeof loadSettings>>;

/** The saga, and the breaker that watches over payments. */
export function buildCheckout(
  registry: ServiceRegistry,
  settings: Settings,
  confirm: (orderId: string) => void,
) {
  const payments = paymentsPolicy(settings);
  const quick = timeout('1s');
  const patient = retry({ attempts: 8, backoff: { base: 50, max: 500 } });
  const ask = (
    service: string,
    path: string,
    body: object,
    to: StepCall,
    policy: () => Policy = () => quick,
  ) => call(registry, { service, path, body, key: to.key, signal: to.signal, policy: policy() });
  const undo = (
    service: string,
    path: string,
    of: StepCall & { forwardKey: string },
    policy: () => Policy = () => quick,
  ) =>
    call(registry, {
      service,
      path,
      body: { key: of.forwardKey },
      key: of.key,
      signal: of.signal,
      policy: policy(),
      undo: true,
    });

  return saga('checkout', { input: Order })
    .step('hold', (step) => ask('inventory', '/reservations', pick(step.input, 'sku', 'quantity'), step), {
      policy: patient,
      undo: (step) => undo('inventory', '/releases', step),
    })
    .step(
      'pay',
      (step) => ask('payments', '/charges', pick(step.input, 'customer', 'amount'), step, payments),
      {
        undo: (step) => undo('payments', '/refunds', step, payments),
      },
    )
    .pivot('confirm', ({ input }) => confirm(input.id))
    .step(
      'ship',
      (step) => ask('shipping', '/parcels', { orderId: step.input.id, quantity: step.input.quantity }, step),
      { policy: patient },
    );
}

type StepCall = { readonly key: string; readonly signal: AbortSignal };

function pick<T, K extends keyof T>(from: T, ...keys: K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** Breaker outside, timeout inside: each call that times out counts. Both follow the configuration live. */
function paymentsPolicy(settings: Settings): () => Policy {
  const build = (): Policy => {
    const { failureRate, minimumCalls, openFor, timeout: limit } = settings.current.payments;
    const breaker = new CircuitBreaker({
      name: 'payments',
      failureRate,
      minimumCalls,
      window: '10s',
      openFor,
    });
    breaker.on('opened', ({ reason }) => tell('breaker', { state: 'open', reason }));
    breaker.on('halfOpened', () => tell('breaker', { state: 'half-open' }));
    breaker.on('closed', () => tell('breaker', { state: 'closed' }));
    return pipeline(breaker, timeout(limit));
  };
  let policy = build();
  settings.select(
    (current) => current.payments,
    (now) => {
      policy = build();
      tell('config', { payments: now });
    },
  );
  return () => policy;
}

interface ServiceCall {
  /** An undo is never refused: it is tried again until it is done. */
  readonly undo?: boolean;
  readonly service: string;
  readonly path: string;
  readonly body: object;
  readonly key: string;
  readonly policy: Policy;
  readonly signal: AbortSignal;
}

/**
 * POST to a service by name. A 4xx, an open breaker and a service without instances certainly had no effect, so the
 * step is refused; anything else that goes wrong leaves it in doubt.
 */
async function call(
  registry: ServiceRegistry,
  { service, path, body, key, policy, signal, undo }: ServiceCall,
) {
  const send = (attempt: { readonly signal: AbortSignal }): Promise<Response> =>
    registry.service(service).run(async (instance, context) => {
      const response = await fetch(`${instance.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(body),
        signal: context.signal,
      });
      if (response.status >= 500) throw new Error(`${service} answered ${response.status}`);
      return response;
    }, attempt);
  try {
    const response = await policy.run(send, { signal });
    const answer = (await response.json()) as { readonly refused?: string };
    if (response.ok) return answer;
    // Participants remember keys, so their refusal speaks for earlier attempts too.
    return refuse(`${service}: ${answer.refused ?? response.status}`, { conclusive: true });
  } catch (error) {
    const notSent = error instanceof CircuitOpenError || error instanceof NoInstanceError;
    if (notSent && !undo) refuse(error.message);
    throw error;
  }
}
