export {
  type BarrierDecision,
  type BarrierMark,
  type BarrierMarks,
  barrierResult,
  checkBarrierCall,
  decideBarrier,
  setMarks,
} from '../ports/barrier-decision.ts';
export { type CallingContext, sagaCall } from './barrier.ts';
export type { BeginOptions, SagaRunOptions } from './begin-options.ts';
export {
  causationHeader,
  correlationHeader,
  type EventHandlers,
  type HandlerContext,
  Participant,
  type ParticipantEvents,
  type ParticipantOptions,
  type PublishOptions,
  participant,
  type ReceivedEvent,
  sourceHeader,
} from './choreography.ts';
export { diagram } from './diagram.ts';
export type { BegunSaga } from './entrance.ts';
export {
  type EventCatalog,
  type EventInput,
  type EventOutput,
  type EventSchemas,
  eventCatalog,
} from './event-catalog.ts';
export { refusedBy, refusedHeader, replayedHeader, sagaAnswer } from './http-answer.ts';
export type {
  ParticipantAnswer,
  ParticipantErrorListener,
  ParticipantHandler,
  ParticipantRequest,
} from './http-endpoint.ts';
export {
  type AnyHeaders,
  type SagaHeaders,
  type SagaRequestHeaders,
  sagaHeaders,
  sagaRequest,
} from './http-headers.ts';
export {
  type FastifyLikeReply,
  type FastifyLikeRequest,
  type NodeLikeRequest,
  type SagaEndpoint,
  type SagaEndpointOptions,
  sagaEndpoint,
} from './http-participant.ts';
export { type Inbox, type MemoryInboxOptions, memoryInbox } from './inbox.ts';
export { type OperatorCancelOptions, SagaOperator, type SagaOperatorOptions } from './operator.ts';
export type { PlannedStep, SagaPlan, StepKind, StepType } from './plan.ts';
export type { PurgeOptions } from './queries.ts';
export type { RepairOptions, SkipOptions } from './repair.ts';
export type { CancelOptions, SignalOptions, SignalOutcome } from './request-desk.ts';
export { SagaRunner } from './runner.ts';
export type { SagaRetryOptions, SagaRunnerOptions } from './runner-options.ts';
export { type RefuseOptions, refuse, type SagaOptions, saga } from './saga.ts';
export type {
  SagaEndedEvent,
  SagaEvent,
  SagaEvents,
  SagaStepEvent,
  SagaStepFailedEvent,
} from './saga-events.ts';
export type {
  AfterNested,
  CommittedGroup,
  CommittedSaga,
  CompensatableGroup,
  CompensatableSaga,
  Maybe,
  MaybeAll,
  ResultOf,
  Saga,
  SagaTrait,
  Signalled,
  UnusedName,
  WithResult,
  WithResults,
} from './saga-phases.ts';
export type {
  CallOptions,
  CompensatableOptions,
  Condition,
  DelayLength,
  ForwardOptions,
  GroupOptions,
  Happened,
  HarmlessOptions,
  NestedOptions,
  OnTimeout,
  PivotOptions,
  SagaDefinition,
  SagaState,
  StepContext,
  StepFunctions,
  Stored,
  UndoContext,
  WaitOptions,
  WhenOptions,
} from './saga-types.ts';
export { formatTimeline, type TimelineEntry, type TimelineType, timeline } from './timeline.ts';
export type { CancelOutcome } from './turning.ts';
