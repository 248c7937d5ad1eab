/** The tree against two oracles: a list that is filtered and sorted by the order as it is documented, and find-my-way. */
import fc from 'fast-check';
import findMyWay from 'find-my-way';
import { describe, expect, it } from 'vitest';
import { RequestHeaders } from '../../src/gateway/http/headers.ts';
import {
  type Candidate,
  compareCandidates,
  holds,
  methodRank,
  type Question,
} from '../../src/gateway/routes/candidate.ts';
import { compileConditions } from '../../src/gateway/routes/conditions.ts';
import { findRoute } from '../../src/gateway/routes/find-route.ts';
import { RouteTable } from '../../src/gateway/routes/match.ts';
import { includesHost, paramsOf } from '../../src/gateway/routes/pattern.ts';

const literal = fc.constantFrom('a', 'b', 'ab');
const segment = fc.oneof({ weight: 3, arbitrary: literal }, fc.constantFrom(':x', 'a:x', ':x.b', 'a:x.b'));
const path = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('', '/*', '/'))
  .map(([segments, end]) => {
    const named = segments.map((text, index) => text.replace(':x', `:x${index}`));
    return named.length === 0 ? end || '/' : `/${named.join('/')}${end}`;
  });
const method = fc.constantFrom('', '', 'GET ', 'HEAD ', 'POST ', 'GET,POST ', 'TRACE ');
const host = fc.constantFrom('', '', 'b.a', '*.a', '*.b.a');
const conditions = fc.constantFrom(
  undefined,
  undefined,
  { headers: { x: '1' } },
  { query: { q: true } },
  { headers: { x: '1' }, query: { q: false } },
);
const route = fc.record({ method, host, path, conditions, priority: fc.constantFrom(0, 0, 0, 1, -1) });
const request = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'TRACE'),
  host: fc.constantFrom('', 'a', 'b.a', 'c.a', 'c.b.a'),
  path: fc
    .array(fc.constantFrom('a', 'b', 'ab', 'ac', 'c.b', 'ac.b', 'a.b'), { maxLength: 4 })
    .chain((segments) => fc.constantFrom(`/${segments.join('/')}`, `/${segments.join('/')}/`))
    .map((text) => text.replace('//', '/')),
  header: fc.constantFrom([], ['X', '1'], ['x', '2']),
  query: fc.constantFrom('', 'q', 'q=2'),
});

function tableOf(
  routes: readonly (typeof route extends fc.Arbitrary<infer R> ? R : never)[],
): RouteTable<number> {
  const table = new RouteTable<number>();
  for (const [index, it] of routes.entries()) {
    try {
      const precedence = { priority: it.priority, conditions: compileConditions(it.conditions) };
      table.add(`${it.method}${it.host}${it.path}`, index, precedence);
    } catch (error) {
      if (!String(error).includes('declared already')) throw error;
    }
  }
  return table;
}

const matches = (candidate: Candidate<number>, asked: Question): boolean =>
  methodRank(candidate, asked.method) > 0 &&
  includesHost(candidate.pattern.host, asked.host) &&
  paramsOf(candidate.pattern.segments, asked.path) !== undefined &&
  holds(candidate, asked);

describe('the order of routes', () => {
  it('is the one that is documented, for any routes and request', () => {
    let found = 0;
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 20 }),
        fc.array(request, { minLength: 5, maxLength: 5 }),
        (routes, requests) => {
          const table = tableOf(routes);
          for (const { header, query, ...rest } of requests) {
            const headers = new RequestHeaders([...header]);
            const asked: Question = {
              ...rest,
              headers,
              searchParams: new URLSearchParams(query),
              scheme: 'http',
            };
            const expected = table.candidates
              .filter((candidate) => matches(candidate, asked))
              .sort((a, b) => compareCandidates(a, b, asked.method))[0];
            if (expected !== undefined) found += 1;
            expect(table.find(asked)?.declared).toBe(expected?.declared);
            expect(table.find(asked)).toBe(expected);
          }
        },
      ),
      { numRuns: 1_000 },
    );
    expect(found).toBeGreaterThan(200);
  });

  it('agrees with find-my-way on what both can do', () => {
    const plain = fc
      .tuple(fc.array(fc.constantFrom('a', 'b', ':x'), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(
        ([segments, rest]) =>
          `/${segments.map((s, i) => (s === ':x' ? `:x${i}` : s)).join('/')}${rest ? '/*' : ''}`,
      );
    const asked = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.uniqueArray(plain, { maxLength: 15 }),
        fc.array(asked, { maxLength: 10 }),
        (patterns, paths) => {
          const table = new RouteTable<string>();
          const oracle = findMyWay();
          for (const pattern of patterns) {
            table.add(pattern, pattern);
            oracle.on('GET', pattern, () => {}, pattern);
          }
          for (const path of paths.map((segments) => `/${segments.join('/')}`)) {
            const theirs = oracle.find('GET', path);
            // They do not count `/a` among what `/a/*` serves.
            if (theirs === null && patterns.some((pattern) => pattern.endsWith('/*'))) continue;
            const ours = table.find(questionOf('GET', path));
            if (ours?.declared.endsWith('/*') && theirs?.store !== ours.declared) continue;
            expect(ours?.declared).toBe(theirs?.store ?? undefined);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes a preflight for the request that it announces, whose headers are not known yet', () => {
    const table = new RouteTable<string>();
    table.add('PUT /a', 'beta', { conditions: compileConditions({ headers: { 'x-beta': true } }) });
    const headers = new RequestHeaders(['Access-Control-Request-Method', 'PUT']);
    const found = findRoute(table, { ...questionOf('OPTIONS', '/a'), headers });
    expect(found).toEqual({ route: 'beta', params: {}, preflight: true });
    expect(() => findRoute(table, questionOf('OPTIONS', '/a'))).toThrow('no route leads here');
  });
});

function questionOf(asked: string, at: string): Question {
  const headers = new RequestHeaders([]);
  return { method: asked, host: '', path: at, headers, searchParams: new URLSearchParams(), scheme: 'http' };
}
