import { describe, expect, it } from 'vitest';
import { Life } from '../../src/testing/crash-matrix/life.ts';
import { VirtualTime } from '../../src/testing/crash-matrix/virtual-time.ts';

describe('virtual time', () => {
  it('fires timers in the order of their time, those of one moment as they were made', async () => {
    const time = new VirtualTime();
    const log: string[] = [];
    const at = (delay: number, what: string) => time.schedule(delay, () => log.push(`${time.now()} ${what}`));
    for (const delay of [30, 10, 20, 10, 0]) at(delay, `of ${delay}`);
    at(15, 'cancelled').cancel();
    time.schedule(5, () => at(0, 'at once'));
    await time.run(() => time.now() === 30);
    expect(log).toEqual(['0 of 0', '5 at once', '10 of 10', '10 of 10', '20 of 20', '30 of 30']);
  });

  it('stands still until every promise has settled, however long the chain', async () => {
    const time = new VirtualTime();
    const log: string[] = [];
    time.schedule(1, async () => {
      for (let link = 0; link < 1_000; link += 1) await undefined;
      log.push('chain');
    });
    time.schedule(2, () => log.push('timer'));
    await time.run(() => time.now() === 2);
    expect(log).toEqual(['chain', 'timer']);
  });

  it('gives the event loop its turn now and then', async () => {
    const time = new VirtualTime();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    const tick = (): void => void time.schedule(1, tick);
    tick();
    await time.run(() => time.now() > 20_000);
    expect(turned).toBe(true);
  });

  it('says so when nothing more will happen, and passes on what a timer throws', async () => {
    const time = new VirtualTime();
    await expect(time.run(() => false)).rejects.toThrow('no timer is left');
    time.schedule(1, () => {
      throw new Error('thrown');
    });
    await expect(time.run(() => false)).rejects.toThrow('thrown');
  });
});

describe('a life', () => {
  it('fires no timer when it is dead, and fires late when it was frozen', async () => {
    const time = new VirtualTime();
    const life = new Life('a', time);
    const log: string[] = [];
    life.clock.schedule(10, () => log.push(`first at ${time.now()}`));
    life.clock.schedule(100, () => log.push('never'));
    life.freeze(50);
    time.schedule(80, () => life.kill());
    await time.run(() => time.now() >= 80);
    time.schedule(100, () => {});
    await time.run(() => time.now() >= 180);
    expect(log).toEqual(['first at 50']);
    expect(life.isAwake).toBe(false);
  });

  it('has a wall clock of its own', () => {
    const time = new VirtualTime(1_000);
    const life = new Life('a', time);
    life.skew(-300);
    expect(life.clock.wallTime()).toBe(700);
    expect(life.clock.now()).toBe(time.now());
  });
});
