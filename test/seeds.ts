/** Where a change is judged, a property is tried with the same values each time; elsewhere each run draws its own. */
import fc from 'fast-check';

if (process.env.CI) fc.configureGlobal({ seed: 2026 });
