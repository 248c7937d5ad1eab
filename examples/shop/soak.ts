import { until } from './actor.ts';
import type { Customers } from './customers.ts';
import { countLedger } from './ledger.ts';
import type { Stage } from './stage.ts';
import { failures, story } from './story.ts';

/** Kill orders at a random moment, again and again; after each loop nothing may be lost or doubled. */
export async function soak(stage: Stage, customers: Customers, loops: number): Promise<void> {
  story.title(`Soak: kill -9 of orders at a random moment, ${loops} times`);
  let resumed = 0;
  for (let loop = 1; loop <= loops; loop += 1) {
    const sent = customers.orders(20, 20);
    await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 150));
    await stage.actor('orders').end('SIGKILL');
    const answers = await sent;
    const orders = await stage.service('orders', 'orders.js');
    await Promise.all(answers.map((order) => customers.follow(order.id)));
    resumed += orders.heard('resumed').length;
    const ledger = await until('the ledger is at rest', () => countLedger(stage, customers.acknowledged));
    const sound =
      ledger.lost === 0 && ledger.doubledOrStray === 0 && ledger.stockConserved && ledger.moneyConserved;
    if (!sound) failures.push(`loop ${loop}: ${JSON.stringify(ledger)}`);
    if (!sound || loop % 10 === 0 || loop === loops) {
      const { placed, completed, compensated, lost, doubledOrStray } = ledger;
      story.fact(
        `loop ${loop}: ${placed} placed, ${completed} completed, ${compensated} compensated, ${resumed} resumed, ${lost} lost, ${doubledOrStray} doubled`,
      );
    }
  }
}
