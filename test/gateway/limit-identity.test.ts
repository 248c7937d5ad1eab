import { expect, it } from 'vitest';
import { InvalidOptionsError } from '../../src/core/errors.ts';
import { LimitIdentities, limitIdentity, type NamedLimit } from '../../src/gateway/workers/limit-identity.ts';

const limit: NamedLimit = { name: 'default', limit: 10, per: 1_000 };

it('a limit is known by its name and by each of its options, whoever makes it', () => {
  expect(limitIdentity({ ...limit })).toBe(limitIdentity(limit));
  const others: NamedLimit[] = [
    { ...limit, name: 'other' },
    { ...limit, limit: 11 },
    { ...limit, limit: () => 10 },
    { ...limit, per: 1_001 },
    { ...limit, burst: 10 },
    { ...limit, key: (it: { a: string }) => it.a },
    { ...limit, key: (it: { b: string }) => it.b },
  ];
  expect(new Set([limit, ...others].map(limitIdentity)).size).toBe(others.length + 1);
});

it('of two without a name that say the same the second is refused, and the error says what to do', () => {
  const nameless = new LimitIdentities();
  expect(nameless.claim(limit)).not.toBe(nameless.claim({ ...limit, per: 2_000 }));
  expect(() => nameless.claim(limit)).toThrow(InvalidOptionsError);
  expect(() => nameless.claim(limit)).toThrow(/rateLimit: name: .*a name for each of them/);
});
