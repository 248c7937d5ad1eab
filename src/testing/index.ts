export { ManualClock } from './manual-clock.ts';
export { seededRandom, type TestRuntime, type TestRuntimeOptions, testRuntime } from './test-runtime.ts';
