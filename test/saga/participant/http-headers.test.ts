import { describe, expect, it } from 'vitest';
import { InvalidOptionsError, ProblemError } from '../../../src/core/errors.ts';
import { sagaCall } from '../../../src/saga/barrier.ts';
import { sagaHeaders, sagaRequest } from '../../../src/saga/http-headers.ts';

const context = { sagaId: 'order/7', key: 'order/7/travel.hotel/undo' };
const headers = {
  'idempotency-key': 'order/7/travel.hotel/undo',
  'holdfast-saga': 'order/7',
  'holdfast-step': 'travel.hotel',
  'holdfast-operation': 'undo',
};
const call = { saga: 'order/7', step: 'travel.hotel', operation: 'undo', key: headers['idempotency-key'] };

describe("the headers of a saga's call", () => {
  it('say which call it is, also of an id with slashes, and are read back', () => {
    expect(sagaHeaders(context)).toEqual(headers);
    expect(sagaRequest(headers)).toEqual(call);
    expect(sagaRequest(new Headers(headers))).toEqual(call);
  });

  it('may have the key in quotes, as a structured header does', () => {
    expect(sagaRequest({ ...headers, 'idempotency-key': `"${headers['idempotency-key']}"` })).toEqual(call);
    const odd = { 'idempotency-key': '"a\\"b/s/do"', 'holdfast-saga': 'a"b', 'holdfast-step': 's' };
    expect(sagaRequest({ ...odd, 'holdfast-operation': 'do' }).saga).toBe('a"b');
  });

  it.each([
    ['idempotency-key', undefined, 'the header Idempotency-Key is missing'],
    ['holdfast-saga', '  ', 'the header Holdfast-Saga is missing'],
    ['holdfast-step', undefined, 'the header Holdfast-Step is missing'],
    ['holdfast-operation', undefined, 'the header Holdfast-Operation is missing'],
    ['holdfast-operation', 'redo', 'is "redo"; it must be do or undo'],
    ['holdfast-operation', 'do', 'must be "order/7/travel.hotel/do"'],
    ['holdfast-step', 'hold', 'with the others it must be "order/7/hold/undo"'],
    ['holdfast-saga', 'x'.repeat(201), 'longer than 200'],
    ['idempotency-key', 'one, two', 'the header Idempotency-Key is "one, two"'],
  ])('refuse %s: %s with 400', (name, value, why) => {
    const request = (): unknown => sagaRequest({ ...headers, [name]: value });
    expect(request).toThrow(ProblemError);
    expect(request).toThrow(why);
    expect(() => sagaRequest({})).toThrow(expect.objectContaining({ status: 400 }));
  });

  it.each([{ sagaId: 's', key: 's/x' }, { sagaId: 's', key: 'other/hold/do' }, { sagaId: 's' } as never])(
    'are not made of what is no context of a step: %j',
    (none) => {
      expect(() => sagaCall(none)).toThrow(InvalidOptionsError);
    },
  );
});
