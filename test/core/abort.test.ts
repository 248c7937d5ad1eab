import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { enter, joinSignals, within, withinSignal } from '../../src/core/abort.ts';
import { withCallContext } from '../../src/core/ambient.ts';
import { InvalidOptionsError, TimeoutError } from '../../src/core/errors.ts';
import {
  abortSource,
  Call,
  type CallContext,
  type RunOptions,
  settle,
  unlimitedCall,
  wrapWith,
} from '../../src/core/policy.ts';
import { ManualClock } from '../../src/testing/manual-clock.ts';

const never = <T>(): Promise<T> => new Promise(() => {});
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

/** The context that work gets when it is entered with these options. */
async function contextOf(options?: RunOptions, clock: ManualClock = new ManualClock()): Promise<CallContext> {
  return enter(clock, options, (context) => context);
}

describe('enter', () => {
  it('gives an unlimited first attempt where nothing is asked for', async () => {
    for (const options of [undefined, {}]) {
      const context = await contextOf(options);
      expect(context).toMatchObject({ attempt: 1, deadline: undefined });
      expect(context.signal.aborted).toBe(false);
      expect(abortSource(context)).toBeUndefined();
    }
  });

  it('passes a context of the library through untouched', async () => {
    const call = new Call(undefined, 3, 500);
    expect(await contextOf(call)).toBe(call);
  });

  it('takes over signal, attempt, deadline and timeout; the nearest limit counts', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const context = await contextOf({ signal, attempt: 4, deadline: 900, timeout: '2s' }, clock);
    expect(context).toMatchObject({ attempt: 4, deadline: 900 });
    expect(await contextOf({ deadline: 9_000, timeout: '2s' }, clock)).toMatchObject({ deadline: 2_000 });
  });

  it('enforces a context that was not made by the library', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const call = expect(enter(clock, { signal, attempt: 1, deadline: 50 }, never)).rejects.toThrow(
      TimeoutError,
    );
    await clock.advance(50);
    await call;
    expect(listeners(signal)).toBe(0);
  });

  it('rejects with the reason of the signal, also when it was aborted before, and then does not begin', async () => {
    const controller = new AbortController();
    const call = enter(new ManualClock(), { signal: controller.signal }, never);
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    let begun = false;
    const late = enter(new ManualClock(), { signal: controller.signal, timeout: 5 }, () => {
      begun = true;
    });
    await expect(late).rejects.toThrow('gone');
    expect(begun).toBe(false);
  });

  it.each([0, -1])('does not begin when %i ms are left until the deadline', async (left) => {
    const clock = new ManualClock();
    await clock.advance(100);
    let begun = false;
    const call = enter(clock, { deadline: 100 + left }, () => {
      begun = true;
    });
    await expect(call).rejects.toThrow(TimeoutError);
    expect(begun).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it.each(['soon', -1, Number.NaN, Number.POSITIVE_INFINITY, {}, null])(
    'rejects the timeout %o, and does not throw',
    async (timeout) => {
      const { signal } = new AbortController();
      const call = enter(new ManualClock(), { signal, timeout: timeout as never }, never);
      await expect(call).rejects.toThrow(InvalidOptionsError);
      expect(listeners(signal)).toBe(0);
    },
  );

  it.each([
    ['a value', () => 1],
    ['a promise', async () => 1],
    ['a throw', () => Promise.reject(new Error('sync'))],
    [
      'a rejection',
      () => {
        throw new Error('sync');
      },
    ],
  ])('leaves no listener and no timer behind after %s', async (_what, work) => {
    const clock = new ManualClock();
    const [a, b] = [new AbortController().signal, new AbortController().signal];
    const context = new Call(a, 1, 10_000);
    await withCallContext(context, () => enter(clock, { signal: b, timeout: '1s' }, work)).catch(() => {});
    expect([listeners(a), listeners(b), clock.pending]).toEqual([0, 0, 0]);
  });

  it('sleeps through limits beyond 2^31 ms', async () => {
    const clock = new ManualClock();
    const call = expect(enter(clock, { timeout: '60d' }, never)).rejects.toThrow(TimeoutError);
    await clock.advance(59 * 86_400_000);
    expect(clock.pending).toBe(1);
    await clock.advance(86_400_000);
    await call;
  });
});

describe('the ambient context', () => {
  const ambient = (deadline: number | undefined, signal?: AbortSignal): CallContext =>
    new Call(signal, 7, deadline);

  it.each([undefined, {}])(
    'hands deadline and signal, but not the attempt, to calls with options %o',
    async (options) => {
      const { signal } = new AbortController();
      const context = await withCallContext(ambient(300, signal), () => contextOf(options));
      expect(context).toMatchObject({ attempt: 1, deadline: 300 });
    },
  );

  it.each([undefined, {}])('is enforced on calls with options %o', async (options) => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const late = withCallContext(ambient(300), () => enter(clock, options, never));
    const gone = withCallContext(ambient(undefined, controller.signal), () => enter(clock, options, never));
    const outcomes = Promise.allSettled([late, gone]);
    controller.abort(new Error('gone'));
    await clock.advance(300);
    expect(await outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'HOLDFAST_TIMEOUT' } },
      { status: 'rejected', reason: { message: 'gone' } },
    ]);
    expect([listeners(controller.signal), clock.pending]).toEqual([0, 0]);
  });

  it('gives way to a nearer deadline of the call, and the other way round', async () => {
    const inAmbient = (deadline: number, options: RunOptions): Promise<CallContext> =>
      withCallContext(ambient(deadline), () => contextOf(options));
    expect(await inAmbient(300, { deadline: 200 })).toMatchObject({ deadline: 200 });
    expect(await inAmbient(300, { timeout: 200 })).toMatchObject({ deadline: 200 });
    expect(await inAmbient(300, { timeout: '1h' })).toMatchObject({ deadline: 300 });
  });

  it('joins its signal with that of the call: either aborts', async () => {
    for (const which of [0, 1]) {
      const controllers = [new AbortController(), new AbortController()];
      const [outer, own] = controllers.map((c) => c.signal);
      let seen: AbortSignal | undefined;
      const call = withCallContext(ambient(undefined, outer), () =>
        enter(new ManualClock(), { signal: own! }, ({ signal }) => {
          seen = signal;
          return never();
        }),
      );
      controllers[which]?.abort(new Error('gone'));
      await expect(call).rejects.toThrow('gone');
      expect(seen?.aborted).toBe(true);
      expect([listeners(outer!), listeners(own!)]).toEqual([0, 0]);
    }
  });

  it('does not reach what runs outside of it', async () => {
    withCallContext(ambient(300), () => undefined);
    expect(await contextOf()).toMatchObject({ deadline: undefined });
  });
});

describe('within', () => {
  it('passes an abort through every limit down to the innermost work', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const seen: AbortSignal[] = [];
    const call = within(clock, 10_000, { signal: caller.signal, attempt: 1, deadline: undefined }, (outer) =>
      within(clock, 5_000, outer, (inner) => {
        seen.push(inner.signal);
        return never();
      }),
    );
    caller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    expect(seen[0]?.aborted).toBe(true);
    await clock.advance(0);
    expect([listeners(caller.signal), clock.pending]).toEqual([0, 0]);
  });

  it('aborts the signal with the error that it rejects with, also when it is read too late', async () => {
    const clock = new ManualClock();
    let context: CallContext | undefined;
    const call = within(clock, 100, unlimitedCall, (given) => {
      context = given;
      return never();
    }).catch((error: unknown) => error);
    await clock.advance(100);
    const error = await call;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(context?.signal.reason).toBe(error);
  });

  it('ignores what the work does after its time, a rejection too', async () => {
    const clock = new ManualClock();
    const call = expect(
      within(clock, 100, unlimitedCall, async () => {
        await new Promise<void>((resolve) => void clock.schedule(200, resolve));
        throw new Error('too late');
      }),
    ).rejects.toThrow(TimeoutError);
    await clock.advance(100);
    await call;
    // An unhandled rejection would fail the run.
    await clock.advance(100);
  });
});

describe('withinSignal and joinSignals', () => {
  it('settle as the work does, and take their listeners off', async () => {
    const { signal } = new AbortController();
    await expect(withinSignal(signal, async () => 1)).resolves.toBe(1);
    await expect(withinSignal(signal, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(listeners(signal)).toBe(0);
  });

  it('join the signals that there are', () => {
    const a = new AbortController();
    expect(joinSignals(undefined, undefined).signal.aborted).toBe(false);
    expect(joinSignals(a.signal, undefined).signal.aborted).toBe(false);
    a.abort('why');
    expect(joinSignals(undefined, a.signal).signal.reason).toBe('why');
  });
});

describe('policy', () => {
  it('wrap keeps this and the arguments', async () => {
    const policy = {
      run: <T>(work: (context: CallContext) => T | PromiseLike<T>) => settle(work, unlimitedCall),
    };
    const till = {
      cents: 5,
      add(this: { cents: number }, more: number): number {
        return this.cents + more;
      },
    };
    expect(await wrapWith(policy, till.add).call(till, 3)).toBe(8);
  });

  it('settle takes a promise-like of another kind', async () => {
    const later = Promise.resolve(5);
    // biome-ignore lint/suspicious/noThenProperty: a promise of another library is just that.
    const thenable: PromiseLike<number> = { then: later.then.bind(later) };
    expect(await settle(() => thenable, unlimitedCall)).toBe(5);
  });

  it('keeps no listener that work leaves on a signal that never aborts', () => {
    unlimitedCall.signal.addEventListener('abort', () => {});
    expect(listeners(unlimitedCall.signal)).toBe(0);
  });

  it('hands out signals that any number may listen to without a warning of a leak', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const limited = await contextOf({ timeout: '1s' });
    const joined = joinSignals(new AbortController().signal, undefined);
    for (const { signal } of [unlimitedCall, limited, joined]) {
      for (let n = 0; n < 20; n += 1) signal.addEventListener('abort', () => {});
    }
    expect(warned).not.toHaveBeenCalled();
    warned.mockRestore();
  });

  it('has no signal to listen to where nothing can abort', () => {
    expect(abortSource(unlimitedCall)).toBeUndefined();
    expect(abortSource({ signal: unlimitedCall.signal, attempt: 1, deadline: undefined })).toBeDefined();
  });
});
