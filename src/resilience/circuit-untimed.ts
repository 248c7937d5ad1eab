import type { CircuitRecorder } from './circuit-recorder.ts';
import { rejectWith } from './rejection.ts';

/**
 * The calls of one period in which every call passes, whose durations nobody asks for. All of them are settled by the
 * same two functions, so that a call makes no closure and reads the clock once.
 */
export class UntimedCalls {
  readonly generation: number;
  readonly resolved: <T>(result: T) => T;
  readonly rejected: (error: unknown) => PromiseLike<never>;

  constructor(recorder: CircuitRecorder) {
    const { generation } = recorder.machine;
    this.generation = generation;
    this.resolved = (result) => {
      recorder.resolvedUntimed(generation, result);
      return result;
    };
    this.rejected = (error) => {
      recorder.rejectedUntimed(generation, error);
      return rejectWith(error);
    };
  }
}
