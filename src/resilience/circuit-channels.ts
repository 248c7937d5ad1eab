import { type Channel, channel } from 'node:diagnostics_channel';
import type { CircuitChange, CircuitChanges } from './circuit-types.ts';

/** What is published on the channel `holdfast:circuit-breaker:<event>`: the event's payload and whose it is. */
export type CircuitMessage<K extends keyof CircuitChanges = keyof CircuitChanges> = CircuitChanges[K] & {
  /** The breaker's name. */
  readonly breaker: string;
};

const channelOf = (event: keyof CircuitChanges): Channel => channel(`holdfast:circuit-breaker:${event}`);

const channels: Readonly<Record<keyof CircuitChanges, Channel>> = {
  opened: channelOf('opened'),
  halfOpened: channelOf('halfOpened'),
  closed: channelOf('closed'),
  forced: channelOf('forced'),
  wouldTrip: channelOf('wouldTrip'),
  imported: channelOf('imported'),
};

/** Tell whoever subscribed by `node:diagnostics_channel`, of every breaker of the process; nobody there, nothing built. */
export function publishChange(breaker: string, { type, payload }: CircuitChange): void {
  const to = channels[type];
  if (!to.hasSubscribers) return;
  const message: CircuitMessage = { ...payload, breaker };
  to.publish(message);
}
