/** Wait for a condition of the outside world; a condition that throws does not hold yet. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limit = 60_000,
): Promise<void> {
  const end = performance.now() + limit;
  let last: unknown;
  while (performance.now() < end) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not come true within ${limit} ms`, { cause: last });
}
