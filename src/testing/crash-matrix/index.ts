export { type CrashMatrixReport, crashMatrix } from './crash-matrix.ts';
export {
  type CrashMatrixEnd,
  type CrashMatrixFault,
  type CrashMatrixOptions,
  crashMatrixFaults,
} from './matrix-options.ts';
