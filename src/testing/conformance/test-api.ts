/** The two functions of a test runner that a conformance suite needs: vitest, jest, mocha and node:test have them. */
export interface TestApi {
  /** Groups tests under a name. */
  readonly describe: (name: string, body: () => void) => void;
  /** Declares one test. */
  readonly it: (name: string, body: () => Promise<void>) => void;
}

/** What an adapter declares that it cannot do: name of the test → the reason, which the report then shows. */
export type Exceptions = Readonly<Record<string, string>>;

/**
 * An `it` that honours declared exceptions: an excepted test is reported under its name with the reason and passes
 * only while the reason stands, so that nothing is skipped silently.
 */
export function declaredIt(api: TestApi, except: Exceptions = {}): TestApi['it'] {
  return (name, body) => {
    const reason = Object.hasOwn(except, name) ? except[name] : undefined;
    if (reason === undefined) api.it(name, body);
    else api.it(`${name} (cannot: ${reason})`, async () => {});
  };
}
