/** The routes of one host as a tree of segments: from each node the more specific way is tried first. */
import { type Candidate, holds, needsName, type Question } from './candidate.ts';
import { mixedValues, type Segment, segmentRank, segmentText } from './pattern.ts';

/** Routes of one path: those that name their methods first; among them the more conditions first, then as declared. */
type Leaf<T> = Candidate<T>[];

/** Ten thousand routes do not fit in a processor's cache, so a node is small, and has no map until it needs one. */
interface Node<T> {
  /** The only child by its text, while there is but one. */
  text: string | undefined;
  child: Node<T> | undefined;
  /** All children by their text, when there are several. */
  literals: Map<string, Node<T>> | undefined;
  mixed: { readonly segment: Segment & { kind: 'mixed' }; readonly node: Node<T> }[] | undefined;
  param: Node<T> | undefined;
  /** Routes whose path ends here. */
  end: Leaf<T> | undefined;
  /** Routes whose path goes on with `*`. */
  rest: Leaf<T> | undefined;
}

function newNode<T>(): Node<T> {
  return {
    text: undefined,
    child: undefined,
    literals: undefined,
    mixed: undefined,
    param: undefined,
    end: undefined,
    rest: undefined,
  };
}

/** Finds the most specific route for a path, and goes on to less specific ones while methods or conditions do not fit. */
export class PathTree<T> {
  readonly #root: Node<T> = newNode();

  add(candidate: Candidate<T>): void {
    let node = this.#root;
    for (const segment of candidate.pattern.segments) {
      if (segment.kind === 'rest') {
        node.rest = withCandidate(node.rest, candidate);
        return;
      }
      node = childOf(node, segment);
    }
    node.end = withCandidate(node.end, candidate);
  }

  find(question: Question): Candidate<T> | undefined {
    return visit(this.#root, question, pick, question.path.includes('%'), 1);
  }

  /** Add the methods of every route that has this path, and whose conditions hold. */
  addMethods(question: Question, methods: Set<string>): void {
    const collect = (leaf: Leaf<T>): undefined => {
      for (const candidate of leaf) {
        if (!holds(candidate, question)) continue;
        for (const method of candidate.pattern.methods) methods.add(method);
      }
    };
    visit(this.#root, question, collect, question.path.includes('%'), 1);
  }
}

function withCandidate<T>(leaf: Leaf<T> = [], candidate: Candidate<T>): Leaf<T> {
  const named = ({ pattern }: Candidate<T>): number => (pattern.methods.length === 0 ? 0 : 1);
  return [...leaf, candidate].sort(
    (a, b) => named(b) - named(a) || b.conditions.length - a.conditions.length || a.order - b.order,
  );
}

function childOf<T>(node: Node<T>, segment: Exclude<Segment, { kind: 'rest' }>): Node<T> {
  if (segment.kind === 'param') {
    node.param ??= newNode();
    return node.param;
  }
  return segment.kind === 'literal' ? literalChild(node, segment.text) : mixedChild(node, segment);
}

function literalChild<T>(node: Node<T>, text: string): Node<T> {
  const known = node.text === text ? node.child : node.literals?.get(text);
  if (known !== undefined) return known;
  const made = newNode<T>();
  if (node.child === undefined && node.literals === undefined) {
    node.text = text;
    node.child = made;
    return made;
  }
  node.literals ??= new Map([[node.text!, node.child!]]);
  node.literals.set(text, made);
  node.text = undefined;
  node.child = undefined;
  return made;
}

function mixedChild<T>(node: Node<T>, segment: Segment & { kind: 'mixed' }): Node<T> {
  const text = JSON.stringify(segment.texts);
  node.mixed ??= [];
  const known = node.mixed.find((other) => JSON.stringify(other.segment.texts) === text);
  if (known !== undefined) return known.node;
  const made = newNode<T>();
  node.mixed.push({ segment, node: made });
  node.mixed.sort((a, b) => segmentRank(b.segment) - segmentRank(a.segment));
  return made;
}

/** Looks among the routes of one path; undefined to go on to less specific ones. */
type Take<T> = (leaf: Leaf<T>, question: Question) => Candidate<T> | undefined;

/** @param start where the segment that this node's children are about begins; past the end when there is none left. */
function visit<T>(
  node: Node<T>,
  question: Question,
  take: Take<T>,
  encoded: boolean,
  start: number,
): Candidate<T> | undefined {
  const { path } = question;
  if (start <= path.length) {
    const slash = path.indexOf('/', start);
    const found = descend(node, question, take, encoded, start, slash === -1 ? path.length : slash);
    if (found !== undefined) return found;
  } else if (node.end !== undefined) {
    const found = take(node.end, question);
    if (found !== undefined) return found;
  }
  return node.rest === undefined ? undefined : take(node.rest, question);
}

/** On to the children that a segment leads to, which is from `start` to `end`. */
function descend<T>(
  node: Node<T>,
  question: Question,
  take: Take<T>,
  encoded: boolean,
  start: number,
  end: number,
): Candidate<T> | undefined {
  const { path } = question;
  const literal = encoded
    ? literalAt(node, segmentText(path.slice(start, end)))
    : plainLiteralAt(node, path, start, end);
  if (literal !== undefined) {
    const found = visit(literal, question, take, encoded, end + 1);
    if (found !== undefined) return found;
  }
  if (node.mixed !== undefined) {
    const text = segmentText(path.slice(start, end));
    for (const { segment, node: next } of node.mixed) {
      const found = mixedValues(segment.texts, text) && visit<T>(next, question, take, encoded, end + 1);
      if (found !== undefined) return found;
    }
  }
  return node.param === undefined || start === end
    ? undefined
    : visit(node.param, question, take, encoded, end + 1);
}

function plainLiteralAt<T>(node: Node<T>, path: string, start: number, end: number): Node<T> | undefined {
  const { text, literals } = node;
  // A single child is compared in place.
  if (text !== undefined) {
    return text.length === end - start && path.startsWith(text, start) ? node.child : undefined;
  }
  return literals?.get(path.slice(start, end));
}

function literalAt<T>(node: Node<T>, text: string): Node<T> | undefined {
  return node.text === text ? node.child : node.literals?.get(text);
}

function pick<T>(leaf: Leaf<T>, question: Question): Candidate<T> | undefined {
  const { method } = question;
  if (method === 'HEAD') {
    // What answers GET answers HEAD, but a route that names HEAD comes first.
    return firstOf(leaf, question, 'HEAD', false) ?? firstOf(leaf, question, 'GET', true);
  }
  return firstOf(leaf, question, method, !needsName(method));
}

/** @param every whether routes for every method count. */
function firstOf<T>(
  leaf: Leaf<T>,
  question: Question,
  method: string,
  every: boolean,
): Candidate<T> | undefined {
  for (let index = 0; index < leaf.length; index += 1) {
    const candidate = leaf[index]!;
    const { methods } = candidate.pattern;
    if (methods.length === 0 ? !every : !methods.includes(method)) continue;
    if (candidate.conditions.length === 0 || holds(candidate, question)) return candidate;
  }
  return undefined;
}
