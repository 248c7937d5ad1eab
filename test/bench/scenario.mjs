/** Measures one scenario of one suite in a process of its own, and prints the raw numbers as JSON. */
const [suiteName, scenarioName, long] = process.argv.slice(2);
const { suite } = await import(`./suites/${suiteName}.mjs`);
const scenario = suite.scenarios.find(({ name }) => name === scenarioName);
const rounds = await scenario.measure(scenario.contenders, { long: long === 'long' });
process.stdout.write(JSON.stringify(rounds), () => process.exit());
