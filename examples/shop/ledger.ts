import { opening, type Stage } from './stage.ts';
import { story } from './story.ts';

/** What the services' own databases say, and nothing else. */
export interface Ledger {
  readonly placed: number;
  readonly completed: number;
  readonly compensated: number;
  /** Acknowledged and unknown, or known and neither completed nor compensated. */
  readonly lost: number;
  /** Effects without a completed order, and completed orders with more or fewer than one effect of each kind. */
  readonly doubledOrStray: number;
  readonly stockConserved: boolean;
  readonly moneyConserved: boolean;
}

interface OrderRow {
  readonly id: string;
  readonly status: string;
  readonly input: string;
}

/** Count the ledger from the databases of orders, inventory, payments and shipping. */
export function countLedger(stage: Stage, acknowledged: ReadonlySet<string>): Ledger {
  const orders = stage.query('orders', (db) =>
    db.prepare<[], OrderRow>('SELECT id, status, input FROM holdfast_sagas').all(),
  );
  const byStatus = (status: string): OrderRow[] => orders.filter((order) => order.status === status);
  const completed = byStatus('completed');
  const compensated = byStatus('compensated');
  const known = new Set(orders.map((order) => order.id));
  const missing = [...acknowledged].filter((id) => !known.has(id));
  return {
    placed: orders.length,
    completed: completed.length,
    compensated: compensated.length,
    lost: missing.length + orders.length - completed.length - compensated.length,
    doubledOrStray: countStray(stage, completed),
    ...conserved(stage, completed),
  };
}

function conserved(
  stage: Stage,
  completed: readonly OrderRow[],
): Pick<Ledger, 'stockConserved' | 'moneyConserved'> {
  const inputs = completed.map((order) => JSON.parse(order.input) as { quantity: number; amount: number });
  const sold = inputs.reduce((sum, { quantity }) => sum + quantity, 0);
  const earned = inputs.reduce((sum, { amount }) => sum + amount, 0);
  const stock = number(stage, 'inventory', 'SELECT on_hand AS n FROM stock');
  const wallet = number(stage, 'payments', 'SELECT balance AS n FROM wallet');
  const shipped = number(stage, 'shipping', 'SELECT coalesce(sum(quantity), 0) AS n FROM parcel');
  return {
    stockConserved: stock + sold === opening.stock && shipped === sold,
    moneyConserved: wallet + earned === opening.wallet,
  };
}

/** Effects by order id, from the idempotency keys that they were recorded under. */
function countStray(stage: Stage, completed: readonly OrderRow[]): number {
  const expected = completed
    .map((order) => order.id)
    .sort()
    .join();
  const effects = [
    ids(stage, 'inventory', "SELECT key FROM reservation WHERE state = 'held'"),
    ids(stage, 'payments', "SELECT key FROM charge WHERE state = 'charged'"),
    ids(stage, 'shipping', 'SELECT key FROM parcel'),
    ids(stage, 'orders', "SELECT order_id || '/confirm/do' AS key FROM confirmation"),
  ];
  return effects.filter((found) => found.sort().join() !== expected).length;
}

function ids(stage: Stage, service: string, sql: string): string[] {
  const rows = stage.query(service, (db) => db.prepare<[], { key: string }>(sql).all());
  return rows.map(({ key }) => key.split('/')[0]!);
}

function number(stage: Stage, service: string, sql: string): number {
  return stage.query(service, (db) => db.prepare<[], { n: number }>(sql).get()!.n);
}

/** Print the ledger; what does not hold counts as a failure of the run. */
export function tellLedger(ledger: Ledger): void {
  const { placed, completed, compensated, lost } = ledger;
  story.title("The ledger, counted from the services' own databases");
  story.fact(`orders placed ${placed} · completed ${completed} · compensated ${compensated} · lost ${lost}`);
  story.check(lost === 0, 'no order is lost');
  story.check(
    ledger.doubledOrStray === 0,
    'every completed order has one reservation, charge and parcel; no others do',
  );
  story.check(ledger.stockConserved, 'stock is conserved: what left the shelf is what was sold and shipped');
  story.check(
    ledger.moneyConserved,
    'money is conserved: what left the wallet is what the completed orders cost',
  );
}
