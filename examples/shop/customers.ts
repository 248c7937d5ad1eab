import { until } from './actor.ts';
import { opening, type Stage } from './stage.ts';

/** How the shop answered an order. */
export interface Answer {
  readonly id: string;
  /** HTTP status; 0 when the connection broke. */
  readonly status: number;
  readonly outcome: string;
  readonly milliseconds: number;
}

/** The shop's customers: they order through the gateway and remember what they were promised. */
export class Customers {
  readonly #stage: Stage;
  #count = 0;
  /** Every order that anybody ever sent. */
  readonly sent: Set<string> = new Set();
  /** Orders that the shop said it has, by any answer. */
  readonly acknowledged: Set<string> = new Set();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Send one order; a new one, or an earlier one again. */
  async order(id = this.#next()): Promise<Answer> {
    this.sent.add(id);
    const begun = performance.now();
    const { status, body } = await this.request('POST', '/orders', {
      id,
      customer: opening.customer,
      sku: opening.sku,
      // The same order must look the same when it is sent again.
      quantity: 1 + (id.length % 3),
      amount: 100 + Number(id.at(-1)),
    });
    if (status === 201 || status === 202 || status === 409) this.acknowledged.add(id);
    return { id, status, outcome: String(body.status ?? 'unknown'), milliseconds: performance.now() - begun };
  }

  #next(): string {
    this.#count += 1;
    return `order-${this.#count}`;
  }

  /** Send this many orders, `width` at a time. */
  async orders(count: number, width: number): Promise<Answer[]> {
    const answers: Answer[] = [];
    let left = count;
    const customer = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        answers.push(await this.order());
      }
    };
    await Promise.all(Array.from({ length: width }, customer));
    return answers;
  }

  async request(
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = { authorization: `Bearer ${this.#stage.token}` },
  ): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
    try {
      const response = await fetch(`${this.#stage.gatewayUrl}${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text.startsWith('{') ? JSON.parse(text) : {},
      };
    } catch {
      return { status: 0, headers: new Headers(), body: {} };
    }
  }

  /** Ask after an order until it has ended; send it again when the shop does not know it. Resolves to how it ended. */
  async follow(id: string): Promise<string> {
    return until(
      `${id} ends`,
      async () => {
        const { status, body } = await this.request('GET', `/orders/${id}`);
        if (status === 404) await this.order(id);
        const outcome = String(body.status);
        return outcome === 'completed' || outcome === 'compensated' ? outcome : undefined;
      },
      30_000,
    );
  }
}

/** How often each value occurs, most frequent first. */
export function tally(values: Iterable<string | number>): [string, number][] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** The median. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
