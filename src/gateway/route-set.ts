/** The routes of a router, as they were declared and as they are looked up. Replaced as a whole, or not at all. */
import { InvalidOptionsError } from '../core/errors.ts';
import { isPlainObject } from '../core/json.ts';
import { describe } from '../core/options.ts';
import { compileRoute, type Route, type RouteScope } from './route.ts';
import type { RoutesReplaced } from './router-events.ts';
import type { RouteOptions } from './router-options.ts';
import { RouteTable } from './routes/match.ts';

/**
 * A route as data: what `route(pattern, options)` takes, as one object. All of it but functions and policies can come
 * from JSON or YAML.
 */
export interface RouteDefinition extends RouteOptions {
  /** `'[METHODS ][host]/path'`, such as `'GET,POST api.example.com/orders/:id'`. */
  readonly pattern: string;
}

interface Declared {
  readonly definition: RouteDefinition;
  readonly route: Route;
}

/** Declared routes and their table. */
export class RouteSet {
  readonly #scope: RouteScope;
  readonly #declared: Declared[] = [];
  readonly table: RouteTable<Route> = new RouteTable();

  constructor(scope: RouteScope) {
    this.#scope = scope;
  }

  /** @throws InvalidOptionsError when the pattern or an option is not acceptable, or it is declared already. */
  add(pattern: string, options: RouteOptions): void {
    const definition = copyOf({ ...options, pattern }) as unknown as RouteDefinition;
    this.#insert(definition, compileRoute(pattern, options, this.#scope));
  }

  #insert(definition: RouteDefinition, route: Route): void {
    this.table.add(route.pattern, route, route);
    this.#declared.push({ definition, route });
  }

  /**
   * The set that takes the place of this one. A route that is declared as before is the same object in both, and so is
   * whatever it remembers.
   *
   * @throws InvalidOptionsError naming each definition that is not acceptable.
   */
  replacedBy(definitions: readonly RouteDefinition[]): {
    readonly set: RouteSet;
    readonly changes: RoutesReplaced;
  } {
    if (!Array.isArray(definitions)) {
      throw new InvalidOptionsError('RequestRouter.replace', [
        { field: 'routes', received: describe(definitions), accepts: 'a list of routes' },
      ]);
    }
    const left = byPattern(this.#declared);
    const set = new RouteSet(this.#scope);
    const added: string[] = [];
    for (const [index, definition] of definitions.entries()) {
      within(index, () => {
        const known = takeEqual(left.get(definition?.pattern) ?? [], definition);
        if (known !== undefined) return set.#insert(known.definition, known.route);
        const { pattern, ...options } = objectOf(definition);
        set.add(pattern as string, options);
        added.push(pattern as string);
      });
    }
    const removed = [...left.values()].flat().map(({ route }) => route.pattern);
    return { set, changes: { added, removed, kept: definitions.length - added.length } };
  }
}

function byPattern(declared: readonly Declared[]): Map<string, Declared[]> {
  const groups = new Map<string, Declared[]>();
  for (const one of declared) {
    const group = groups.get(one.route.pattern);
    if (group === undefined) groups.set(one.route.pattern, [one]);
    else group.push(one);
  }
  return groups;
}

function objectOf(definition: unknown): Record<string, unknown> {
  if (isPlainObject(definition)) return definition;
  throw new InvalidOptionsError('RequestRouter.route', [
    { field: 'options', received: describe(definition), accepts: 'an object with `pattern`' },
  ]);
}

/** Name the definition that is not acceptable. */
function within(index: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    const issues = error.issues.map((issue) => ({ ...issue, field: `routes.${index}.${issue.field}` }));
    throw new InvalidOptionsError('RequestRouter.replace', issues);
  }
}

/** Take the first route out that was declared in the same way. */
function takeEqual(declared: Declared[], definition: RouteDefinition): Declared | undefined {
  const at = declared.findIndex((known) => equal(known.definition, definition));
  return at === -1 ? undefined : declared.splice(at, 1)[0];
}

/** A copy that later changes of the original do not reach; functions, policies and the like stay who they are. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyOf(item)]));
}

/** Whether two declarations say the same: data by what it says, functions and objects of a class by who they are. */
function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (a instanceof RegExp && b instanceof RegExp) return String(a) === String(b);
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (!isPlainObject(a) || !isPlainObject(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => equal(a[key], b[key]));
}
