/** Which route serves a request: see `candidate.ts` for the order. */
import type { Candidate, Question } from './candidate.ts';
import { type Condition, noConditions } from './conditions.ts';
import { PathTree } from './path-tree.ts';
import { badPattern, type Params, parsePattern } from './pattern.ts';

/** How a route is chosen besides by its pattern. */
export interface Precedence {
  /** Default 0. */
  readonly priority?: number | undefined;
  readonly conditions?: readonly Condition[] | undefined;
}

const noParams: Params = Object.freeze({});

/** The routes of one priority, by host. */
class Level<T> {
  readonly priority: number;
  readonly #hosts: Map<string, PathTree<T>> = new Map();
  #wildcards = false;

  constructor(priority: number) {
    this.priority = priority;
  }

  add(candidate: Candidate<T>): void {
    const { host } = candidate.pattern;
    let tree = this.#hosts.get(host);
    if (tree === undefined) {
      tree = new PathTree();
      this.#hosts.set(host, tree);
      this.#wildcards ||= host.startsWith('*');
    }
    tree.add(candidate);
  }

  find(question: Question): Candidate<T> | undefined {
    const { host } = question;
    const hosts = this.#hosts;
    if (host !== '') {
      const found = hosts.get(host)?.find(question);
      if (found !== undefined) return found;
    }
    if (this.#wildcards) {
      for (const tree of this.#above(host)) {
        const found = tree.find(question);
        if (found !== undefined) return found;
      }
    }
    return hosts.get('')?.find(question);
  }

  addMethods(question: Question, methods: Set<string>): void {
    const { host } = question;
    if (host !== '') this.#hosts.get(host)?.addMethods(question, methods);
    for (const tree of this.#above(host)) tree.addMethods(question, methods);
    this.#hosts.get('')?.addMethods(question, methods);
  }

  /** `*.` of each domain above a host, the longest first. */
  *#above(host: string): Generator<PathTree<T>> {
    for (let dot = host.indexOf('.', 1); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      const tree = this.#hosts.get(`*${host.slice(dot)}`);
      if (tree !== undefined) yield tree;
    }
  }
}

/** All routes. Finding one takes time by the length of the path, however many routes there are. */
export class RouteTable<T> {
  /** The highest priority first. */
  readonly #levels: Level<T>[] = [];
  readonly #candidates: Candidate<T>[] = [];
  readonly #declared: Set<string> = new Set();

  /** Every route, in order of declaration. */
  get candidates(): readonly Candidate<T>[] {
    return this.#candidates;
  }

  /**
   * @throws InvalidOptionsError when the pattern is malformed, or declared already for the same methods, conditions and
   * priority.
   */
  add(declared: string, route: T, precedence: Precedence = {}): void {
    const { priority = 0, conditions = noConditions } = precedence;
    const pattern = parsePattern(declared);
    const candidate: Candidate<T> = {
      declared,
      pattern,
      route,
      priority,
      conditions,
      order: this.#candidates.length,
      match: pattern.varies ? undefined : { route, params: noParams },
    };
    const keys = keysOf(candidate);
    if (keys.some((key) => this.#declared.has(key))) {
      const accepts = 'a new pattern: it is declared already for the same methods, conditions and priority';
      throw badPattern(declared, accepts);
    }
    for (const key of keys) this.#declared.add(key);
    this.#candidates.push(candidate);
    this.#level(priority).add(candidate);
  }

  #level(priority: number): Level<T> {
    const at = this.#levels.findIndex((level) => level.priority <= priority);
    if (at !== -1 && this.#levels[at]!.priority === priority) return this.#levels[at]!;
    const level = new Level<T>(priority);
    this.#levels.splice(at === -1 ? this.#levels.length : at, 0, level);
    return level;
  }

  /** The route that serves a request, by the order at the top of candidate.ts. */
  find(question: Question): Candidate<T> | undefined {
    const levels = this.#levels;
    for (let index = 0; index < levels.length; index += 1) {
      const found = levels[index]!.find(question);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The methods that have a route for this host and path, sorted; routes for every method do not count. */
  methodsOf(question: Question): string[] {
    const methods = new Set<string>();
    for (const level of this.#levels) level.addMethods(question, methods);
    if (methods.has('GET')) methods.add('HEAD');
    return [...methods].sort();
  }
}

/** What two routes may not both have: one key for each method. The names of what varies do not count. */
function keysOf<T>({ pattern, priority, conditions }: Candidate<T>): string[] {
  const path = pattern.segments.map((segment) =>
    segment.kind === 'mixed'
      ? segment.texts
      : segment.kind === 'literal'
        ? segment.text
        : { [segment.kind]: 0 },
  );
  const texts = conditions.map(({ text }) => text).sort();
  const methods = pattern.methods.length === 0 ? [''] : pattern.methods;
  return methods.map((method) => JSON.stringify([method, pattern.host, path, priority, texts]));
}
