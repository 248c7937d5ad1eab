/** What a route asks of a request besides host, method and path. */
import { InvalidOptionsError } from '../../core/errors.ts';
import { z } from '../../core/options.ts';
import type { RequestHeaders } from '../http/headers.ts';
import { longestTested, unsafeBecause } from './safe-expression.ts';

/**
 * What a value has to be: this text, one of these, present (`true`), absent (`false`), matched by an expression
 * (`{ matches: '^v[12]$' }` in data), or accepted by a function, which gets undefined for a value that is absent.
 */
export type ValueCondition =
  | string
  | boolean
  | readonly string[]
  | RegExp
  | { readonly matches: string }
  | ((value: string | undefined) => boolean);

/** What a route asks of a request besides host, method and path. All of it has to hold. */
export interface RouteConditions {
  /** By header, ignoring the case of its name. Several fields of a name are one value, joined by `, `. */
  readonly headers?: Readonly<Record<string, ValueCondition>> | undefined;
  /** By parameter of the query. Of one that is given several times, each value has to be right. */
  readonly query?: Readonly<Record<string, ValueCondition>> | undefined;
  /** By cookie; of one that is sent several times, the first counts. */
  readonly cookies?: Readonly<Record<string, ValueCondition>> | undefined;
  /** How the client speaks; a trusted proxy's X-Forwarded-Proto counts. */
  readonly scheme?: 'http' | 'https' | undefined;
}

/** What conditions look at. */
export interface ConditionSubject {
  readonly headers: RequestHeaders;
  readonly searchParams: URLSearchParams;
  readonly scheme: 'http' | 'https';
}

/** One condition, ready to be put to requests. */
export interface Condition {
  readonly part: 'header' | 'query' | 'cookie' | 'scheme';
  /** For people, and to tell two conditions apart, such as `header x-plan is "gold"`. */
  readonly text: string;
  readonly test: (subject: ConditionSubject) => boolean;
  /** What the request has in this place, for people. */
  readonly found: (subject: ConditionSubject) => string;
}

const name = z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, { error: 'a name without spaces' });

const valueCondition = z.custom<ValueCondition>(
  (value) =>
    typeof value === 'string' ||
    typeof value === 'boolean' ||
    typeof value === 'function' ||
    value instanceof RegExp ||
    (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string')) ||
    (typeof value === 'object' && value !== null && Object.keys(value).join() === 'matches'),
  {
    error: "text, a list of texts, true (present), false (absent), a RegExp, { matches: '…' } or a function",
  },
);

/** The option `when`. */
export const conditionsSchema: z.ZodType<RouteConditions> = z.strictObject({
  headers: z.record(name, valueCondition).optional(),
  query: z.record(z.string(), valueCondition).optional(),
  cookies: z.record(name, valueCondition).optional(),
  scheme: z.enum(['http', 'https']).optional(),
});

/** Conditions of a route that has none. */
export const noConditions: readonly Condition[] = [];

/**
 * Make conditions ready.
 *
 * @throws InvalidOptionsError when an expression is malformed or could take too long.
 */
export function compileConditions(given: RouteConditions | undefined): readonly Condition[] {
  if (given === undefined) return noConditions;
  const conditions: Condition[] = [];
  for (const [key, value] of Object.entries(given.headers ?? {})) {
    const lower = key.toLowerCase();
    conditions.push(one('header', lower, `when.headers.${key}`, value, ({ headers }) => headers.get(lower)));
  }
  for (const [key, value] of Object.entries(given.query ?? {})) conditions.push(queryCondition(key, value));
  for (const [key, value] of Object.entries(given.cookies ?? {})) {
    const read = ({ headers }: ConditionSubject): string | undefined => cookieIn(headers.get('cookie'), key);
    conditions.push(one('cookie', key, `when.cookies.${key}`, value, read));
  }
  const { scheme } = given;
  if (scheme !== undefined) {
    const text = `scheme is ${scheme}`;
    const test = (subject: ConditionSubject): boolean => subject.scheme === scheme;
    conditions.push({ part: 'scheme', text, test, found: (subject) => subject.scheme });
  }
  return conditions;
}

/** The first value of a cookie in a `Cookie` header, without the quotes around it; undefined when there is none. */
export function cookieIn(header: string | undefined, key: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals !== -1 && pair.slice(0, equals).trim() === key) {
      return pair
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
    }
  }
  return undefined;
}

type Test = (value: string | undefined) => boolean;

function one(
  part: Condition['part'],
  key: string,
  field: string,
  value: ValueCondition,
  read: (subject: ConditionSubject) => string | undefined,
): Condition {
  const test = testOf(field, value);
  return {
    part,
    text: `${part} ${key} ${wish(value)}`,
    test: (subject) => test(read(subject)),
    found: (subject) => shown(read(subject)),
  };
}

function queryCondition(key: string, value: ValueCondition): Condition {
  const test = testOf(`when.query.${key}`, value);
  return {
    part: 'query',
    text: `query ${key} ${wish(value)}`,
    test: ({ searchParams }) => {
      const all = searchParams.getAll(key);
      return all.length < 2 ? test(all[0]) : all.every(test);
    },
    found: ({ searchParams }) => searchParams.getAll(key).map(shown).join(', ') || shown(undefined),
  };
}

function testOf(field: string, value: ValueCondition): Test {
  if (typeof value === 'string') return (given) => given === value;
  if (typeof value === 'boolean') return (given) => (given !== undefined) === value;
  if (typeof value === 'function') return value;
  if (isList(value)) {
    const accepted = new Set(value);
    return (given) => given !== undefined && accepted.has(given);
  }
  const expression = expressionOf(field, value);
  return (given) => given !== undefined && given.length <= longestTested && expression.test(given);
}

function isList(value: object): value is readonly string[] {
  return Array.isArray(value);
}

function expressionOf(field: string, value: RegExp | { readonly matches: string }): RegExp {
  const refuse = (why: string): InvalidOptionsError => {
    const received = value instanceof RegExp ? String(value) : JSON.stringify(value.matches);
    const accepts = `an expression that is quick for every text (${why}); a function can do the same`;
    return new InvalidOptionsError('RequestRouter.route', [{ field, received, accepts }]);
  };
  let expression: RegExp;
  try {
    expression = value instanceof RegExp ? value : new RegExp(value.matches, 'u');
  } catch (error) {
    throw refuse(`this is none: ${String(error)}`);
  }
  const why = unsafeBecause(expression);
  if (why !== undefined) throw refuse(why);
  return expression;
}

let functions = 0;
const numbers: WeakMap<object, number> = new WeakMap();

/** Functions have no text by which two could be told apart, so each is numbered. */
function numberOf(value: object): number {
  const known = numbers.get(value);
  if (known !== undefined) return known;
  functions += 1;
  numbers.set(value, functions);
  return functions;
}

function wish(value: ValueCondition): string {
  if (typeof value === 'string') return `is ${JSON.stringify(value)}`;
  if (typeof value === 'boolean') return value ? 'is present' : 'is absent';
  if (typeof value === 'function') {
    return `is accepted by ${value.name === '' ? 'a function' : value.name} (#${numberOf(value)})`;
  }
  if (isList(value)) return `is one of ${value.map((item) => JSON.stringify(item)).join(', ')}`;
  return `matches ${value instanceof RegExp ? value : `/${value.matches}/u`}`;
}

function shown(value: string | undefined): string {
  if (value === undefined) return 'nothing';
  const text = value.length > 40 ? `${value.slice(0, 40)}…` : value;
  return JSON.stringify(text);
}
