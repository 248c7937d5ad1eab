/** The same saga against two payment services: one knows a request again by its key, the other does not. */
import { CrashMatrixError, refuse, saga } from 'holdfast';
import { crashMatrix } from 'holdfast/testing/crash-matrix';
import { z } from 'zod';

const say = (text: string): void => console.log(text);

/** An inventory of one, in memory. It remembers keys, those also that were undone before they came. */
class Stock {
  left = 1;
  readonly #keys = new Map<string, 'held' | 'released'>();

  hold(key: string): void {
    if (this.#keys.get(key) === 'released')
      refuse('it was released before it was held', { conclusive: true });
    if (this.#keys.has(key)) return;
    this.#keys.set(key, 'held');
    this.left -= 1;
  }

  release(key: string): void {
    if (this.#keys.get(key) === 'held') this.left += 1;
    this.#keys.set(key, 'released');
  }
}

class Payments {
  taken = 0;
  readonly #keys = new Set<string>();
  readonly #forgets: boolean;

  constructor(forgets: boolean) {
    this.#forgets = forgets;
  }

  charge(amount: number, key: string): void {
    if (this.#keys.has(key) && !this.#forgets) return;
    this.#keys.add(key);
    this.taken += amount;
  }
}

interface Services {
  readonly stock: Stock;
  readonly payments: Payments;
}

const checkout = ({ stock, payments }: Services) =>
  saga('checkout', { input: z.object({ amount: z.number() }) })
    .step('hold', ({ key }) => stock.hold(key), { undo: ({ forwardKey }) => stock.release(forwardKey) })
    .pivot('pay', ({ input, key }) => payments.charge(input.amount, key))
    .step('ship', () => ({ parcel: 1 }));

const run = (forgets: boolean) =>
  crashMatrix(checkout, {
    setup: () => ({ stock: new Stock(), payments: new Payments(forgets) }),
    input: { amount: 20 },
    check: ({ status, doubles: { stock, payments } }) => {
      const bought = status === 'completed';
      if (payments.taken !== (bought ? 20 : 0)) throw new Error(`${status}, and ${payments.taken} is taken`);
      if (stock.left !== (bought ? 0 : 1)) throw new Error(`${status}, and ${stock.left} is left`);
    },
  });

say('Payments remembers keys:');
const { runs, boundaries, ends } = await run(false);
say(`    ${boundaries} calls, ${runs} runs, each with something else going wrong: ${JSON.stringify(ends)}`);

say('Payments forgets them:');
try {
  await run(true);
} catch (error) {
  if (!(error instanceof CrashMatrixError)) throw error;
  say(error.message.replaceAll(/^/gm, '    '));
}
