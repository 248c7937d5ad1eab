/** What a runner tells of its sagas. */

import type { JsonValue } from '../core/json.ts';
import type { RepairRecord, SagaCount } from '../ports/saga-store.ts';

/** Which saga an event is about. */
export interface SagaEvent {
  readonly id: string;
  /** The definition's name. */
  readonly saga: string;
}

/** One step of a saga. */
export interface SagaStepEvent extends SagaEvent {
  readonly step: string;
}

/** A step that was not done. */
export interface SagaStepFailedEvent extends SagaStepEvent {
  readonly error: unknown;
}

/** The end of a saga. */
export interface SagaEndedEvent extends SagaEvent {
  /** From its start, by the wall clock, in milliseconds. */
  readonly duration: number;
}

/** What happens in a {@link SagaRunner}. Told after it was made durable, but not again after a crash. */
export interface SagaEvents {
  /** A saga is durably begun. */
  readonly started: SagaEvent & { readonly input: JsonValue };
  /** A saga that a crash, a stop or another worker left behind was taken over. */
  readonly resumed: SagaEvent;
  readonly stepDone: SagaStepEvent & { readonly output: JsonValue | undefined };
  /** A step certainly had no effect. */
  readonly stepRefused: SagaStepFailedEvent;
  /** A step before the pivot is in doubt and will be undone. */
  readonly stepFailed: SagaStepFailedEvent;
  /** The condition of a step did not hold, or its group turned back before it was begun. */
  readonly stepOmitted: SagaStepEvent;
  /** A step or an undo was not done and is tried again after `delay` milliseconds. */
  readonly stepRetried: SagaStepFailedEvent & {
    readonly undo: boolean;
    readonly round: number;
    readonly delay: number;
  };
  /** A saga lets time pass or waits for a signal; at `wakeAt`, by the wall clock in milliseconds, it goes on by itself. */
  readonly waiting: SagaEvent & { readonly wakeAt: number | undefined };
  /** A signal was passed over, since it is not what is waited for. */
  readonly signalIgnored: SagaEvent & {
    readonly signal: string;
    /** The signal's id. */
    readonly request: string;
    readonly error: string;
  };
  /** A saga turned back. */
  readonly compensating: SagaEvent & { readonly reason: string };
  readonly stepUndone: SagaStepEvent;
  readonly completed: SagaEndedEvent;
  readonly compensated: SagaEndedEvent & { readonly reason: string };
  /** A saga waits for a person. */
  readonly parked: SagaEndedEvent & { readonly reason: string };
  /** A person repaired a parked saga, on this runner; what follows from it is told after it. */
  readonly repaired: SagaEvent & RepairRecord;
  /** The saga belongs to another worker now; this one dropped it. */
  readonly lost: SagaEvent;
  /** Unfinished sagas of this shape are in the store and this runner does not know it. Told once a minute at most. */
  readonly unclaimed: Pick<SagaCount, 'saga' | 'hash' | 'definitionVersion' | 'count'>;
  /** The store could not do something. What a saga needs is tried again. */
  readonly storeFailed: { readonly operation: string; readonly error: unknown };
}
