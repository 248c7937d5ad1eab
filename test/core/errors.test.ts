import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import * as errors from '../../src/core/errors.ts';
import { HoldfastError, messageOf } from '../../src/core/holdfast-error.ts';

type ErrorClass = (new (...values: never[]) => HoldfastError) & { readonly code: string };

const classes = Object.entries(errors as unknown as Record<string, ErrorClass>);

describe('the error classes', () => {
  it('each have a code of their own, named HOLDFAST_…', () => {
    const codes = classes.map(([, c]) => c.code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toMatch(/^HOLDFAST_[A-Z_]+$/);
  });

  it.each(classes)('%s is named by its code', (name, { code }) => {
    const words = name.replace(/Error$/, '').replace(/(?<!^)[A-Z]/g, '_$&');
    expect(code).toBe(`HOLDFAST_${words.toUpperCase()}`);
  });

  it('each have their paragraph in docs/errors.md, in alphabetical order, and none is there without a class', () => {
    const guide = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    const documented = [...guide.matchAll(/^## (HOLDFAST_\w+)$/gm)].map((match) => match[1]);
    expect(documented).toEqual(classes.map(([, c]) => c.code).sort((a, b) => a.localeCompare(b, 'en')));
  });

  it('carry name, code, message, cause and whether a retry may help', () => {
    const cause = new Error('disk full');
    const error = new errors.StoreError('sqlite', 'write', cause);
    expect(error).toMatchObject({ name: 'StoreError', code: 'HOLDFAST_STORE', retryable: true, cause });
    expect(error.message).toBe('store sqlite could not write: disk full');
    expect(new errors.InvalidSagaError('checkout', 'has no steps').retryable).toBe(false);
    expect(Object.hasOwn(new errors.RefusedError('sold out'), 'cause')).toBe(false);
  });
});

describe('instanceof', () => {
  const timeout = new errors.TimeoutError(5);

  it('tells the classes apart', () => {
    expect(timeout).toBeInstanceOf(errors.TimeoutError);
    expect(timeout).toBeInstanceOf(HoldfastError);
    expect(timeout).toBeInstanceOf(Error);
    expect(timeout).not.toBeInstanceOf(errors.StoreError);
  });

  it('survives two copies of the package in one process', async () => {
    vi.resetModules();
    const copy = await import('../../src/core/errors.ts');
    const copiedBase = await import('../../src/core/holdfast-error.ts');
    expect(copy.TimeoutError).not.toBe(errors.TimeoutError);
    expect(timeout).toBeInstanceOf(copy.TimeoutError);
    expect(timeout).toBeInstanceOf(copiedBase.HoldfastError);
    expect(timeout).not.toBeInstanceOf(copy.StoreError);
    expect(new copy.StoreError('s', 'read', 1)).toBeInstanceOf(errors.StoreError);
  });

  it('treats a subclass of the user as JavaScript does, with a code of its own or without', () => {
    class SlowPayment extends errors.TimeoutError {}
    class LatePayment extends errors.TimeoutError {
      static override readonly code = 'SHOP_LATE_PAYMENT' as never;
    }
    for (const Subclass of [SlowPayment, LatePayment]) {
      const error = new Subclass(5);
      expect(error).toBeInstanceOf(Subclass);
      expect(error).toBeInstanceOf(errors.TimeoutError);
      expect(error).toBeInstanceOf(HoldfastError);
      expect(timeout).not.toBeInstanceOf(Subclass);
    }
    expect(new SlowPayment(5)).not.toBeInstanceOf(LatePayment);
    expect(new LatePayment(5).code).toBe('SHOP_LATE_PAYMENT');
    expect(new SlowPayment(5).name).toBe('SlowPayment');
  });

  it.each([
    null,
    undefined,
    1,
    'HOLDFAST_TIMEOUT',
    {},
    { code: 'HOLDFAST_TIMEOUT' },
    new Error('x'),
    () => {},
  ])('is false for %o', (value) => {
    expect((value as unknown) instanceof errors.TimeoutError).toBe(false);
    expect((value as unknown) instanceof HoldfastError).toBe(false);
  });
});

describe('messageOf', () => {
  it('finds words for anything that was thrown', () => {
    expect(messageOf(new Error('full'))).toBe('full');
    expect(messageOf(new RangeError())).toBe('RangeError');
    expect(messageOf(Object.assign(new Error(), { message: { code: 5 } }))).toBe('[object Object]');
    expect(messageOf('full')).toBe('full');
    expect(messageOf(undefined)).toBe('undefined');
    expect(messageOf(Symbol('full'))).toBe('Symbol(full)');
    expect(messageOf(Object.create(null))).toBe('unknown error');
  });
});
