/** The errors of sagas. `core/errors`, which lists every class, is where they are imported from. */
import { HoldfastError } from './holdfast-error.ts';

/** A saga's declaration is not one that can be run, such as an undo after the pivot. */
export class InvalidSagaError extends HoldfastError {
  static override readonly code = 'HOLDFAST_INVALID_SAGA';
  constructor(saga: string, why: string) {
    super(`saga ${saga}: ${why}`);
  }
}

/** A saga of this id exists, of another kind or with another input. */
export class SagaConflictError extends HoldfastError {
  static override readonly code = 'HOLDFAST_SAGA_CONFLICT';
  constructor(saga: string, id: string, wanted: string = saga) {
    const how = wanted === saga ? 'with another input' : `and is no ${wanted}`;
    super(`saga ${saga} ${id} was started before ${how}; use a new id for new work`);
  }
}

/** No saga of this id, or no registered definition of this name and version. */
export class UnknownSagaError extends HoldfastError {
  static override readonly code = 'HOLDFAST_UNKNOWN_SAGA';
}

/** A saga ended compensated: a step was refused or failed and all that was done before it was undone. */
export class SagaCompensatedError extends HoldfastError {
  static override readonly code = 'HOLDFAST_SAGA_COMPENSATED';
  readonly sagaId: string;

  constructor(saga: string, sagaId: string, reason: string, cause?: unknown) {
    super(`saga ${saga} ${sagaId} was compensated: ${reason}`, { cause });
    this.sagaId = sagaId;
  }
}

/** A saga can neither go on nor be undone without a person's decision. */
export class SagaParkedError extends HoldfastError {
  static override readonly code = 'HOLDFAST_SAGA_PARKED';
  readonly sagaId: string;

  constructor(saga: string, sagaId: string, reason: string, cause?: unknown) {
    super(`saga ${saga} ${sagaId} is parked: ${reason}`, { cause });
    this.sagaId = sagaId;
  }
}

/** A person settled a parked saga outside of it, by `resolve`; it has no results. */
export class SagaResolvedError extends HoldfastError {
  static override readonly code = 'HOLDFAST_SAGA_RESOLVED';
  readonly sagaId: string;

  constructor(saga: string, sagaId: string, reason: string) {
    super(`saga ${saga} ${sagaId} was resolved by a person: ${reason}`);
    this.sagaId = sagaId;
  }
}

/** A repair was refused: the saga is not parked, somebody else was first, or a skip would make the record untrue. */
export class SagaRepairError extends HoldfastError {
  static override readonly code = 'HOLDFAST_SAGA_REPAIR';
  constructor(saga: string, sagaId: string, why: string) {
    super(`saga ${saga} ${sagaId} cannot be repaired so: ${why}`);
  }
}

/** A participant says that the step certainly had, and will have, no effect. Made by `refuse(reason)`. */
export class RefusedError extends HoldfastError {
  static override readonly code = 'HOLDFAST_REFUSED';
  /** Whether it speaks for earlier attempts under the same key, too, whose outcome was unknown until now. */
  readonly conclusive: boolean;

  constructor(reason: string, options: { readonly cause?: unknown; readonly conclusive?: boolean } = {}) {
    super(reason, options);
    this.conclusive = options.conclusive ?? false;
  }
}

/** A saga did not keep a promise in one run of `crashMatrix`. */
export class CrashMatrixError extends HoldfastError {
  static override readonly code = 'HOLDFAST_CRASH_MATRIX';
  /** What was wrong, one entry each. */
  readonly breaches: readonly string[];
  /** What went wrong in the run: give it as option `path` to run it again, and nothing else. Empty: nothing did. */
  readonly path: string;
  /** What happened in the run, line by line. */
  readonly trace: readonly string[];

  constructor(saga: string, breaches: readonly string[], path: string, trace: readonly string[]) {
    super(
      [
        `saga ${saga}: ${breaches.join('; ')}`,
        `replay it with path: ${JSON.stringify(path)}`,
        ...trace.map((line) => `  ${line}`),
      ].join('\n'),
    );
    this.breaches = breaches;
    this.path = path;
    this.trace = trace;
  }
}
