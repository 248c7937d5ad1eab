/** How long to wait before attempt `attempt` + 1, in milliseconds. Pure: `random` gives a number in [0, 1). */
export type Backoff = (attempt: number, random: () => number) => number;

/** Options of {@link exponential}. */
export interface ExponentialOptions {
  /** Wait after the first attempt, in milliseconds. Default 100. */
  readonly base?: number;
  /** Each wait is this many times the one before. Default 2. */
  readonly factor?: number;
  /** The longest wait, in milliseconds. Default 30,000. */
  readonly max?: number;
  /**
   * `full` draws from [0, wait), which spreads a herd best (Brooker, "Exponential Backoff And Jitter", AWS 2015);
   * `equal` from [wait/2, wait); `none` waits exactly. Default `full`.
   */
  readonly jitter?: 'full' | 'equal' | 'none';
}

/** Waits that grow by a factor up to a maximum, spread by jitter. */
export function exponential(options: ExponentialOptions = {}): Backoff {
  const { base = 100, factor = 2, max = 30_000, jitter = 'full' } = options;
  return (attempt, random) => {
    // Past ~1,000 doublings the power is Infinity, which `min` turns into `max`.
    const wait = Math.min(max, base * factor ** Math.max(0, attempt - 1));
    if (jitter === 'none') return wait;
    return jitter === 'full' ? random() * wait : wait / 2 + (random() * wait) / 2;
  };
}

/** The same wait every time. */
export function constant(wait: number): Backoff {
  return () => wait;
}
