/** Measures one scenario of one suite in a process of its own, and prints the raw numbers as JSON. */
const [suiteName, scenarioName, long, among] = process.argv.slice(2);
const { suite } = await import(`./suites/${suiteName}.mjs`);
const scenario = suite.scenarios.find(({ name }) => name === scenarioName);
const chosen = among?.split(',') ?? Object.keys(scenario.contenders);
const contenders = Object.fromEntries(chosen.map((name) => [name, scenario.contenders[name]]));
const rounds = await scenario.measure(contenders, { long: long === 'long' });
process.stdout.write(JSON.stringify(rounds), () => process.exit());
