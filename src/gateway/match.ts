/** Which route serves a request. The only file that knows find-my-way. */
import findMyWay from 'find-my-way';
import { InvalidOptionsError } from '../core/errors.ts';
import { messageOf } from '../core/holdfast-error.ts';

/** A pattern's parts. */
export interface RoutePattern {
  /** Upper case; empty for every method but TRACE and CONNECT, which must be named. */
  readonly methods: readonly string[];
  /** Lower case; empty for every host; `*.` in front for every name below it. */
  readonly host: string;
  /** With `:name` for one segment and a final `*` for the rest. */
  readonly path: string;
}

/** A route that was found. */
export interface Match<T> {
  readonly route: T;
  /** Decoded values of the pattern's `:name`s, and of `*`. */
  readonly params: Readonly<Record<string, string>>;
}

const shape = /^(?:([A-Z][A-Z-]*(?:,[A-Z][A-Z-]*)*) +)?(\*|(?:\*\.)?[\w.-]*|\[[0-9A-Fa-f:.]+\])(\/\S*)$/;

/**
 * Take a pattern apart: `'[METHODS ][host]/path'`.
 *
 * @throws InvalidOptionsError when it does not have this shape.
 */
export function parsePattern(pattern: string): RoutePattern {
  const parts = shape.exec(pattern);
  if (parts === null || parts[3]!.includes('?') || parts[3]!.includes('#')) {
    throw badPattern(pattern, "'[METHODS ][host]/path', such as 'GET,POST api.example.com/orders/:id'");
  }
  if (/\/\{[\w*]+\}/.test(parts[3]!)) {
    throw badPattern(pattern, '`:name` for a segment that varies; `{name}` is for `rewrite` and `compose`');
  }
  const host = parts[2] === '*' ? '' : parts[2]!.toLowerCase();
  return { methods: parts[1]?.split(',') ?? [], host, path: parts[3]! };
}

function badPattern(pattern: string, accepts: string): InvalidOptionsError {
  return new InvalidOptionsError('RequestRouter.route', [
    { field: 'pattern', received: JSON.stringify(pattern), accepts },
  ]);
}

/** What a tree keeps for a pattern. An implied entry gives way to one that is declared. */
interface Entry<T> {
  route: T;
  implied: boolean;
  readonly specificity: string;
}

interface Found<T> {
  readonly entry: Entry<T>;
  readonly params: Readonly<Record<string, string>>;
}

type Tree = findMyWay.Instance<findMyWay.HTTPVersion.V1>;

const unused = (): void => {};

/** Ranks patterns segment by segment: literal text before `:name` before `*`. */
function specificityOf(path: string): string {
  return path
    .slice(1)
    .split('/')
    .map((segment) => (segment === '*' ? '1' : /[:*]/.test(segment) ? '2' : '3'))
    .join('');
}

/** The routes of one host. */
class HostTable<T> {
  readonly #byMethod: Tree = findMyWay({ maxParamLength: 16_384 });
  readonly #everyMethod: Tree = findMyWay({ maxParamLength: 16_384 });
  readonly #entries: Map<string, Entry<T>> = new Map();
  readonly #methods: Set<string> = new Set();

  add(pattern: RoutePattern, route: T): void {
    const trees = pattern.methods.length === 0 ? [''] : pattern.methods;
    for (const method of trees) {
      this.#insert(method, pattern.path, route, false);
      // `/orders/*` serves `/orders` too, unless that is declared on its own.
      if (/[^/]\/\*$/.test(pattern.path)) this.#insert(method, pattern.path.slice(0, -2), route, true);
    }
  }

  #insert(method: string, path: string, route: T, implied: boolean): void {
    const key = `${method} ${path}`;
    const existing = this.#entries.get(key);
    if (existing !== undefined) {
      if (implied) return;
      if (!existing.implied) throw new Error('it is declared already');
      existing.route = route;
      existing.implied = false;
      return;
    }
    const entry: Entry<T> = { route, implied, specificity: specificityOf(path) };
    const tree = method === '' ? this.#everyMethod : this.#byMethod;
    // Trees are kept by method; the tree of routes for every method needs but one.
    tree.on((method || 'GET') as findMyWay.HTTPMethod, decodeURI(path), unused, entry);
    this.#entries.set(key, entry);
    if (method !== '') this.#methods.add(method);
  }

  find(method: string, path: string): Match<T> | undefined {
    let best = this.#methods.has(method) ? lookup<T>(this.#byMethod, method, path) : undefined;
    // What answers GET answers HEAD.
    if (method === 'HEAD' && this.#methods.has('GET')) {
      best = better(best, lookup<T>(this.#byMethod, 'GET', path));
    }
    if (method !== 'TRACE' && method !== 'CONNECT') {
      best = better(best, lookup<T>(this.#everyMethod, 'GET', path));
    }
    return best === undefined ? undefined : { route: best.entry.route, params: best.params };
  }

  methodsOf(path: string): string[] {
    return [...this.#methods].filter((method) => lookup<T>(this.#byMethod, method, path) !== undefined);
  }
}

function lookup<T>(tree: Tree, method: string, path: string): Found<T> | undefined {
  const found = tree.find(method as findMyWay.HTTPMethod, path);
  if (found === null) return undefined;
  return { entry: found.store as Entry<T>, params: found.params as Record<string, string> };
}

/** The more specific of two; of equals the first, which is the one that names the method. */
function better<T>(a: Found<T> | undefined, b: Found<T> | undefined): Found<T> | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.entry.specificity > a.entry.specificity ? b : a;
}

/** All routes: by host, then path (the more specific first, whatever the order of declaration), then method. */
export class RouteTable<T> {
  readonly #hosts: Map<string, HostTable<T>> = new Map();

  /** @throws InvalidOptionsError when the pattern is malformed or declared already. */
  add(pattern: string, route: T): void {
    const parsed = parsePattern(pattern);
    let table = this.#hosts.get(parsed.host);
    if (table === undefined) {
      table = new HostTable();
      this.#hosts.set(parsed.host, table);
    }
    try {
      table.add(parsed, route);
    } catch (error) {
      throw badPattern(pattern, `a new pattern that can be matched: ${messageOf(error)}`);
    }
  }

  /** The route for a method, a host in lower case and a canonical path. */
  find(method: string, host: string, path: string): Match<T> | undefined {
    for (const table of this.#tables(host)) {
      const match = table.find(method, path);
      if (match !== undefined) return match;
    }
    return undefined;
  }

  /** The methods that have a route for this host and path, sorted. */
  methodsOf(host: string, path: string): string[] {
    const methods = new Set<string>();
    for (const table of this.#tables(host)) {
      for (const method of table.methodsOf(path)) methods.add(method);
    }
    if (methods.has('GET')) methods.add('HEAD');
    return [...methods].sort();
  }

  /** The exact host, then `*.` of each domain above it, then every host. */
  *#tables(host: string): Generator<HostTable<T>> {
    const exact = host === '' ? undefined : this.#hosts.get(host);
    if (exact !== undefined) yield exact;
    if (this.#hosts.size > 1) {
      for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
        const wildcard = this.#hosts.get(`*${host.slice(dot)}`);
        if (wildcard !== undefined) yield wildcard;
      }
    }
    const every = this.#hosts.get('');
    if (every !== undefined) yield every;
  }
}
