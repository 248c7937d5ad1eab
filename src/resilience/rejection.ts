/**
 * What a handler of `then` returns to reject with an error, instead of throwing it. A throw builds a message and looks up
 * its place in the source, which is a quarter of what a failing call costs; what is taken for a promise rejects without.
 */
export function rejectWith(error: unknown): PromiseLike<never> {
  return {
    // biome-ignore lint/suspicious/noThenProperty: to be taken for a promise is its whole purpose
    then: (_resolve: unknown, reject: (error: unknown) => void) => reject(error),
  } as PromiseLike<never>;
}

/**
 * A promise that will reject with the error in the next microtask. One that is rejected when it is handed out is first
 * reported to Node as unhandled, and then as handled after all, which costs several times what making the promise does.
 */
export function rejected<T = never>(error: unknown): Promise<T> {
  return Promise.resolve(rejectWith(error));
}
