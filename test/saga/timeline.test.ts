import { describe, expect, it } from 'vitest';
import type { SagaRecord } from '../../src/ports/saga-store.ts';
import { formatTimeline, timeline } from '../../src/saga/timeline.ts';
import { recordOf } from './people-stage.ts';

const told = (change: Partial<SagaRecord>): string[] =>
  formatTimeline(timeline(recordOf(change)))
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\S+ +/, '').replace(/^(\S+ \S+) +/, '$1 · '));

describe('a timeline', () => {
  it('tells of a saga that was completed', () => {
    const steps = [
      { name: 'hold', status: 'done', output: { id: 1 }, at: 1_010 },
      { name: 'gift', status: 'omitted', at: 1_010 },
      { name: 'pay', status: 'done', at: 31_500 },
    ] as const;
    const record = recordOf({ status: 'completed', steps, updatedAt: 31_500 });
    expect(timeline(record)).toEqual([
      { type: 'began', at: 1_000 },
      { type: 'done', at: 1_010, step: 'hold' },
      { type: 'omitted', at: 1_010, step: 'gift', reason: undefined },
      { type: 'done', at: 31_500, step: 'pay' },
      { type: 'completed', at: 31_500 },
    ]);
    expect(formatTimeline(timeline(record))).toBe(
      [
        '1970-01-01T00:00:01.000Z    +0 ms  began',
        '1970-01-01T00:00:01.010Z   +10 ms  hold done',
        '1970-01-01T00:00:01.010Z   +10 ms  gift omitted',
        '1970-01-01T00:00:31.500Z  +30.5 s  pay done',
        '1970-01-01T00:00:31.500Z  +30.5 s  completed\n',
      ].join('\n'),
    );
  });

  it('tells of a saga that turned back: what was done is told where it was done', () => {
    const steps = [
      { name: 'hold', status: 'undone', output: 1, at: 1_010, undoneAt: 1_050 },
      { name: 'ship', status: 'undone', error: 'reset', at: 1_020, undoneAt: 1_040 },
      { name: 'pay', status: 'refused', error: 'card declined', at: 1_030 },
    ] as const;
    const reason = 'pay was refused: card declined';
    expect(told({ status: 'compensated', steps, reason, updatedAt: 1_050 })).toEqual([
      '+0 ms · began',
      '+10 ms · hold done',
      '+20 ms · ship failed: reset',
      '+20 ms · turned back: pay was refused: card declined',
      '+30 ms · pay refused: card declined',
      '+40 ms · ship undone',
      '+50 ms · hold undone',
      '+50 ms · compensated: pay was refused: card declined',
    ]);
  });

  it('tells of a cancel, and of what only a deadline can have done', () => {
    const requests = [
      { id: '1', type: 'signal', name: 'approval', payload: true, at: 1_005 },
      { id: '2', type: 'cancel', reason: 'customer left', at: 1_020 },
    ] as const;
    const steps = [{ name: 'hold', status: 'done', at: 1_010 }] as const;
    const turned = {
      name: 'pay',
      status: 'refused',
      error: 'customer left',
      request: '2',
      at: 1_021,
    } as const;
    const reason = 'cancelled before pay: customer left';
    expect(told({ status: 'compensating', steps: [...steps, turned], requests, reason })).toEqual([
      '+0 ms · began',
      '+5 ms · signal approval',
      '+10 ms · hold done',
      '+20 ms · cancel asked for: customer left',
      '+21 ms · pay omitted: customer left',
      '+21 ms · turned back: cancelled before pay: customer left',
    ]);
    expect(told({ status: 'compensating', steps, deadline: 1_500, reason: 'timeout' }).at(-1)).toBe(
      '+500 ms · turned back: timeout',
    );
  });

  it('tells what waits, what may have been tried, and that nothing is known of what has only begun', () => {
    const steps = [
      { name: 'cool-off', status: 'open', until: 61_000, at: 1_010 },
      { name: 'gift', status: 'open', at: 1_010 },
      { name: 'wire', status: 'begun', at: 1_020 },
    ] as const;
    expect(told({ status: 'waiting', steps })).toEqual([
      '+0 ms · began',
      '+10 ms · cool-off waits until 1970-01-01T00:01:01.000Z',
      '+20 ms · wire begun',
    ]);
  });

  it('tells who repaired it, what was skipped, and where it is parked', () => {
    const steps = [
      { name: 'pay', status: 'done', at: 1_010 },
      { name: 'ship', status: 'done', skipped: true, at: 1_030 },
    ] as const;
    const repairs = [
      { action: 'retry', by: 'ann', reason: 'it is up', parked: 'tried', at: 1_020 },
      { action: 'skip', by: 'bob', reason: 'by hand', parked: 'tried', step: 'ship', at: 1_030 },
    ] as const;
    const parkedAt = { step: 'mail', operation: 'do', skippable: true } as const;
    expect(
      told({ status: 'parked', steps, repairs, parkedAt, reason: 'mail was tried', updatedAt: 1_040 }),
    ).toEqual([
      '+0 ms · began',
      '+10 ms · pay done',
      '+20 ms · retry by ann: it is up',
      '+30 ms · skip of ship by bob: by hand',
      '+30 ms · ship skipped',
      '+40 ms · parked at mail: mail was tried',
    ]);
    const undone = [{ name: 'hold', status: 'undone', skipped: true, at: 1_010, undoneAt: 1_020 }] as const;
    const resolved = { status: 'resolved', steps: undone, reason: 'in the shop', updatedAt: 1_090 } as const;
    expect(told(resolved).slice(1)).toEqual([
      '+10 ms · hold done',
      '+20 ms · turned back',
      '+20 ms · hold skipped',
      '+90 ms · resolved: in the shop',
    ]);
  });

  it('cannot steer a terminal, and shows times that are none', () => {
    const text = formatTimeline(timeline(recordOf({ status: 'parked', reason: 'a\u001b[2Jb\n\u202Ec' })));
    expect(text).toContain('parked: a\\x1b[2Jb\\x0a\\x202ec\n');
    const steps = [{ name: 'a', status: 'open', until: 1e300, at: 1_000 }] as const;
    expect(told({ steps }).at(-1)).toBe('+0 ms · a waits until an unknown time');
    expect(formatTimeline(timeline(recordOf({ createdAt: 9e15 })))).toContain('an unknown time');
    expect(formatTimeline([])).toBe('');
  });

  it('counts long times in units that can be read', () => {
    const at = (after: number) =>
      told({ status: 'completed', updatedAt: 1_000 + after })
        .at(-1)
        ?.split(' ·')[0];
    expect([9_999, 10_000, 599_999, 600_000, 86_400_000 * 3].map(at)).toEqual([
      ...['+9999 ms', '+10.0 s', '+600.0 s', '+10 min', '+3 d'],
    ]);
  });
});
