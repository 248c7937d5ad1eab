import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { checkSet, describeInstance, isHost, sameInstances } from '../../src/discovery/instance.ts';
import { instance } from './balance-simulation.ts';

const defaults = { id: () => 'generated', host: '127.0.0.1' };

describe('describeInstance', () => {
  it('completes what is not given', () => {
    expect(describeInstance({ service: 'orders', port: 3000 }, defaults)).toEqual({
      id: 'generated',
      service: 'orders',
      host: '127.0.0.1',
      port: 3000,
      secure: false,
      url: 'http://127.0.0.1:3000',
      status: 'up',
      weight: 1,
      tags: [],
      metadata: {},
    });
  });

  it.each([
    ['::1', false, 'http://[::1]:80'],
    ['db.internal', true, 'https://db.internal:80'],
    ['my_app', false, 'http://my_app:80'],
  ])('makes a URL of %s', (host, secure, url) => {
    const made = describeInstance({ service: 'orders', port: 80, host, secure }, defaults);
    expect(made.url).toBe(url);
    expect(new URL(made.url).protocol).toBe(secure ? 'https:' : 'http:');
  });

  it.each([
    { port: 0 },
    { port: 65_536 },
    { port: 80.5 },
    { port: '80' },
    { service: '' },
    { service: '../etc' },
    { service: '__proto__' },
    { id: 'a/b' },
    { host: 'a b' },
    { host: 'a\r\nx: y' },
    { host: '[::1]' },
    { host: 'fe80::1%eth0' },
    { host: 'a:80' },
    { host: 'user@host' },
    { host: '' },
    { weight: 0 },
    { weight: -1 },
    { weight: Number.NaN },
    { weight: Number.POSITIVE_INFINITY },
    { tags: 'canary' },
    { tags: ['a\u0000'] },
    { version: 'x'.repeat(257) },
    { metadata: { a: 1 } },
    { metadata: JSON.parse('{"__proto__": "x"}') },
    { metadata: { constructor: 'x' } },
    { status: 'up' },
    { weigth: 2 },
  ])('refuses %o', (bad) => {
    expect(() => describeInstance({ service: 'orders', port: 3000, ...bad } as never, defaults)).toThrow(
      InvalidOptionsError,
    );
  });
});

describe('checkSet', () => {
  it('sets bad instances aside and keeps the others', () => {
    const { url: _, ...withoutUrl } = instance('c');
    const checked = checkSet('orders', [
      instance('b'),
      instance('zero', { port: 0 }),
      instance('nan', { weight: Number.NaN }),
      instance('bell', { host: 'a\u0007' }),
      instance('other', { service: 'billing' }),
      instance('b'),
      { ...withoutUrl, url: 'javascript:alert(1)', futureField: true },
      instance('a'),
      null,
      'text',
      { id: 7 },
    ]);
    expect(checked.instances.map((each) => each.id)).toEqual(['a', 'b', 'c']);
    expect(checked.instances[2]?.url).toBe('http://127.0.0.1:3000');
    expect(checked.rejected.map((each) => each.id)).toEqual([
      '"zero"',
      '"nan"',
      '"bell"',
      'other',
      'b',
      '(none)',
      '(none)',
      '(none)',
    ]);
    expect(checked.rejected[0]?.reason).toContain('port');
  });

  it('never throws for what is in the array, and never lets through what cannot be called', () => {
    const junk = fc.array(
      fc.oneof(
        fc.anything(),
        fc.record({ id: fc.string(), service: fc.constant('orders'), host: fc.string(), port: fc.integer() }),
      ),
    );
    fc.assert(
      fc.property(junk, (set) => {
        for (const each of checkSet('orders', set).instances) {
          expect(isHost(each.host)).toBe(true);
          expect(new URL(each.url).pathname).toBe('/');
        }
      }),
    );
  });

  it.each([undefined, null, 'set', {}, 7])('refuses %o as a set', (set) => {
    expect(() => checkSet('orders', set)).toThrow(TypeError);
  });

  it('knows equal sets, whatever the order of instances and of metadata', () => {
    const first = checkSet('orders', [
      instance('a', { metadata: { x: '1', y: '2' } }),
      instance('b'),
    ]).instances;
    const second = checkSet('orders', [
      instance('b'),
      instance('a', { metadata: { y: '2', x: '1' } }),
    ]).instances;
    expect(sameInstances(first, second)).toBe(true);
    expect(sameInstances(first, checkSet('orders', [instance('a'), instance('b')]).instances)).toBe(false);
    expect(sameInstances(first, first.slice(1))).toBe(false);
  });
});
