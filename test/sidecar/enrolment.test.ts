import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryRegistry } from '../../src/adapters/memory/registry.ts';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { ServiceRegistry } from '../../src/discovery/service-registry.ts';
import { Enrolment } from '../../src/sidecar/enrolment.ts';
import { testRuntime } from '../../src/testing/test-runtime.ts';

async function enrolling(port = 8080) {
  const runtime = testRuntime();
  const backend = memoryRegistry({ runtime });
  const registry = await new ServiceRegistry({ backend, runtime, ttl: '10s' }).start();
  const enrolment = new Enrolment(registry, { service: 'payments', id: 'p-1', port }, runtime);
  const listed = async () => (await backend.list('payments')).map(({ id, status }) => `${id} ${status}`);
  return { runtime, backend, enrolment, listed };
}

describe('Enrolment', () => {
  it('registers and withdraws', async () => {
    const { enrolment, listed } = await enrolling();
    expect(enrolment.registered).toBe(false);
    await enrolment.enrol();
    expect(enrolment.registered).toBe(true);
    expect(await listed()).toEqual(['p-1 up']);
    await enrolment.enrol();
    await enrolment.withdraw();
    expect(enrolment.registered).toBe(false);
    expect(await listed()).toEqual([]);
  });

  it('tries again in the background when the registry cannot be reached', async () => {
    const { runtime, backend, enrolment, listed } = await enrolling();
    backend.partition();
    await runtime.clock.settle(enrolment.enrol());
    expect(enrolment.registered).toBe(false);
    backend.heal();
    await runtime.clock.advance(10_000);
    expect(enrolment.registered).toBe(true);
    expect(await listed()).toEqual(['p-1 up']);
  });

  it('stops trying when it is not wanted any more', async () => {
    const { runtime, backend, enrolment, listed } = await enrolling();
    backend.partition();
    await runtime.clock.settle(enrolment.enrol());
    await enrolment.withdraw();
    await runtime.clock.advance(0);
    // A wait for the next attempt would hold the process.
    expect(runtime.clock.pending).toBe(0);
    backend.heal();
    await runtime.clock.advance(60_000);
    expect(await listed()).toEqual([]);
    expect(runtime.clock.pending).toBe(0);
  });

  it('waits for a registering that is under way before it says that the app is out', async () => {
    const { runtime, backend, enrolment, listed } = await enrolling();
    backend.partition('silence');
    const enrolled = enrolment.enrol();
    await runtime.clock.advance(100);
    const withdrawn = enrolment.withdraw();
    backend.heal();
    await Promise.all([enrolled, withdrawn]);
    expect(await listed()).toEqual([]);
  });

  it('is draining for a while before it leaves', async () => {
    const { runtime, enrolment, listed } = await enrolling();
    await enrolment.enrol();
    const drained = enrolment.drain(500);
    await runtime.clock.advance(499);
    expect(await listed()).toEqual(['p-1 draining']);
    await runtime.clock.advance(1);
    await drained;
    expect(await listed()).toEqual([]);
  });

  it('does not wait before leaving when it never was registered', async () => {
    const { runtime, enrolment } = await enrolling();
    await enrolment.drain(500);
    expect(runtime.clock.now()).toBe(0);
  });

  it('refuses what no registry would ever take', async () => {
    const { enrolment } = await enrolling(0);
    await expect(enrolment.enrol()).rejects.toBeInstanceOf(InvalidOptionsError);
  });

  it('ends as the newest wish says, whatever came before and however slow the registry is', async () => {
    const step = fc.record({ wanted: fc.boolean(), reachable: fc.boolean(), pause: fc.nat(2_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const { runtime, backend, enrolment, listed } = await enrolling();
        const wishes: Promise<void>[] = [];
        for (const { wanted, reachable, pause } of steps) {
          if (reachable) backend.heal();
          else backend.partition();
          wishes.push(wanted ? enrolment.enrol() : enrolment.withdraw());
          await runtime.clock.advance(pause);
        }
        backend.heal();
        await runtime.clock.advance(30_000);
        await Promise.all(wishes);
        const { wanted } = steps.at(-1)!;
        expect(enrolment.registered).toBe(wanted);
        expect(await listed()).toEqual(wanted ? ['p-1 up'] : []);
      }),
      { numRuns: 50 },
    );
  });
});
