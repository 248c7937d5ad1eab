import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/core/errors.ts';
import { responseHeaders } from '../../src/gateway/http/answer-fields.ts';
import {
  AddedHeaders,
  forwardableTrailers,
  RequestHeaders,
  requestConnectionOptions,
} from '../../src/gateway/http/headers.ts';

const buffers = (...list: string[]): Buffer[] => list.map((text) => Buffer.from(text, 'latin1'));

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
];

describe('responseHeaders', () => {
  it('keeps case, order and duplicates of what goes on, byte for byte', () => {
    const raw = buffers('X-B', '1', 'set-cookie', 'a', 'Set-Cookie', 'b', 'x-a', 'caf\xe9');
    expect(responseHeaders(raw)).toEqual([
      'X-B',
      '1',
      'set-cookie',
      'a',
      'Set-Cookie',
      'b',
      'x-a',
      'caf\xe9',
    ]);
  });

  it('lets nothing through that ends at this hop, and loses nothing else', () => {
    const name = fc.constantFrom(
      ...hopByHop,
      'X-One',
      'x-two',
      'Via',
      'Set-Cookie',
      'Content-Length',
      'Date',
    );
    const cased = fc.tuple(name, fc.boolean()).map(([text, upper]) => (upper ? text.toUpperCase() : text));
    const value = fc.constantFrom('a', 'close', 'keep-alive, X-One', 'x-two', '');
    fc.assert(
      fc.property(fc.array(fc.tuple(cased, value), { maxLength: 10 }), (fields) => {
        const kept = responseHeaders(buffers(...fields.flat()));
        const named = fields
          .filter(([field]) => field.toLowerCase() === 'connection')
          .flatMap(([, list]) => list.toLowerCase().split(','))
          .map((option) => option.trim())
          .filter((option) => option !== 'close' && option !== 'keep-alive');
        const expected = fields.filter(([field]) => ![...hopByHop, ...named].includes(field.toLowerCase()));
        expect(kept).toEqual(expected.flat());
      }),
      { numRuns: 2_000, seed: 11 },
    );
  });

  it('leaves out what a guard replaced', () => {
    expect(responseHeaders(buffers('A', '1', 'B', '2'), new Set(['a']))).toEqual(['B', '2']);
  });
});

describe('rule 2: Connection may not name fields that are not its sender’s to remove', () => {
  it.each([
    'Content-Length',
    'close, Transfer-Encoding',
    'HOST',
    'authorization',
    'x, cookie',
    'forwarded',
    'X-Forwarded-For',
  ])('refuses %s', (value) => {
    expect(() => requestConnectionOptions(value)).toThrow(ProblemError);
  });

  it('takes others', () => {
    expect([...requestConnectionOptions('keep-alive, X-Mine ,TE')]).toEqual(['x-mine', 'te']);
  });
});

describe('RequestHeaders', () => {
  const make = (): RequestHeaders =>
    new RequestHeaders(['A', '1', 'a', '2', 'Cookie', 'x', 'cookie', 'y', 'X_User', 'eve']);

  it('looks up without regard to case and joins as HTTP allows', () => {
    const headers = make();
    expect(headers.get('a')).toBe('1, 2');
    expect(headers.get('COOKIE')).toBe('x; y');
    expect(headers.get('b')).toBeUndefined();
    expect(headers.getAll('A')).toEqual(['1', '2']);
    expect(headers.has('x_user')).toBe(true);
  });

  it('set replaces every spelling, and does not touch the list that it was made of', () => {
    const list = ['X_User', 'eve', 'x-user', 'eve', 'B', '1'];
    const headers = new RequestHeaders(list);
    headers.set('X-User', 'ann');
    expect(headers.raw).toEqual(['B', '1', 'X-User', 'ann']);
    expect(headers.kinds.map(({ lower }) => lower)).toEqual(['b', 'x-user']);
    expect(list).toHaveLength(6);
    headers.delete('x_user');
    expect(headers.raw).toEqual(['B', '1']);
  });

  it.each([
    ['x', 'a\r\nb: c'],
    ['x', 'a\0'],
    ['x y', 'a'],
    ['', 'a'],
    ['x', '你'],
  ])('refuses %j: %j', (name, value) => {
    expect(() => make().set(name, value)).toThrow(TypeError);
  });
});

describe('AddedHeaders', () => {
  it('set and remove take the place of what was added before, and append does not', () => {
    const added = new AddedHeaders();
    added.append('X-A', '1');
    added.append('x-a', '2');
    added.append('X-B', '1');
    expect(added.list).toEqual(['X-A', '1', 'x-a', '2', 'X-B', '1']);
    added.set('X-a', '3');
    expect(added.list).toEqual(['X-B', '1', 'X-a', '3']);
    added.append('x-a', '4');
    added.remove('X-B');
    expect([added.list, [...added.replaced]]).toEqual([
      ['X-a', '3', 'x-a', '4'],
      ['x-a', 'x-b'],
    ]);
    added.remove('x-A');
    expect(added.list).toEqual([]);
  });

  it('changes nothing when what is to be set cannot stand in a header', () => {
    const added = new AddedHeaders();
    added.set('x-a', '1');
    expect(() => added.set('x-a', 'a\r\nb: c')).toThrow(TypeError);
    expect(added.list).toEqual(['x-a', '1']);
  });
});

describe('forwardableTrailers', () => {
  it('drops framing, routing and authentication (rule 11)', () => {
    const raw = buffers(
      'X-Sum',
      'abc',
      'Content-Length',
      '5',
      'Transfer-Encoding',
      'chunked',
      'Authorization',
      'x',
    );
    expect(forwardableTrailers([...raw, ...buffers('Set-Cookie', 'a', 'Grpc-Status', '0')])).toEqual([
      ['X-Sum', 'abc'],
      ['Grpc-Status', '0'],
    ]);
  });
});
