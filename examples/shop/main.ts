/**
 * The shop: seven processes on one machine, six scenes in which things go wrong, and a ledger at the end.
 *
 *   npm start                    the six scenes
 *   npm start -- --serve         keep it running, to play with
 *   npm start -- --soak 100      kill -9 of orders at a random moment, 100 times
 *   npm start -- --environment qa
 */
import { parseArgs } from 'node:util';
import { Customers } from './customers.ts';
import { countLedger, tellLedger } from './ledger.ts';
import { scenes } from './scenes.ts';
import { soak } from './soak.ts';
import { environments, Stage } from './stage.ts';
import { failures, story } from './story.ts';

const asked = readArguments();
const stage = new Stage(asked.environment);
process.once('exit', () => stage.abandon());
const interrupt = (): void => process.exit(130);
process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
const begun = performance.now();

try {
  story.title(`The holdfast shop · environment ${asked.environment}`);
  await stage.open();
  story.fact(`running: ${[...stage.actors.keys()].join(', ')}`);
  story.fact('(payments knows nothing of holdfast: a sidecar is beside it)');
  const customers = new Customers(stage);
  if (asked.serve) await serve();
  else {
    if (asked.soak === undefined) for (const scene of scenes) await scene(stage, customers);
    else {
      await soak(stage, customers, asked.soak);
      await stage.close();
    }
    tellLedger(countLedger(stage, customers.acknowledged));
  }
} catch (error) {
  failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  for (const actor of stage.actors.values()) if (actor.errors) story.bad(`${actor.name}: ${actor.errors}`);
}

const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
if (failures.length === 0) {
  story.title(asked.serve ? 'The shop is closed.' : `All held, in ${seconds} s.`);
  stage.remove();
} else {
  story.title(
    `${failures.length} failed, in ${seconds} s. What the services wrote is kept in ${stage.directory}`,
  );
  for (const failure of failures) story.bad(failure);
}
process.exit(failures.length === 0 ? 0 : 1);

/** What was asked for on the command line; says what is wrong with it, and ends, when it makes no sense. */
function readArguments(): { serve: boolean; soak: number | undefined; environment: string } {
  try {
    const { values } = parseArgs({
      options: {
        serve: { type: 'boolean', default: false },
        soak: { type: 'string' },
        environment: { type: 'string', default: 'dev' },
      },
    });
    const { serve, environment } = values;
    const soak = values.soak === undefined ? undefined : Number(values.soak);
    if (soak !== undefined && !(Number.isInteger(soak) && soak > 0)) {
      throw new Error(`--soak takes how often to kill orders, such as 100, not ${values.soak}`);
    }
    if (!environments().includes(environment)) {
      throw new Error(`--environment is one of ${environments().join(', ')}, not ${environment}`);
    }
    return { serve, soak, environment };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

async function serve(): Promise<void> {
  const { gatewayUrl: url, token } = stage;
  const order = JSON.stringify({ id: 'mine-1', customer: 'ada', sku: 'kelp', quantity: 2, amount: 150 });
  story.title('Try:');
  story.fact(`curl ${url}/stock/kelp`);
  story.fact(`curl -d '${order}' -H 'Authorization: Bearer ${token}' ${url}/orders`);
  story.fact(`curl ${url}/orders/mine-1`);
  story.fact(`curl ${url}/overview/mine-1`);
  story.fact(`kill -STOP ${stage.paymentsPid()}     freezes payments (kill -CONT thaws it)`);
  story.fact(`$EDITOR ${stage.configFile}     is taken over live`);
  story.fact('Ctrl-C stops everything.');
  const held = setInterval(() => {}, 60_000);
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  clearInterval(held);
  await stage.close();
}
