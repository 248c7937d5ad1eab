import { type ErrorCode, Lexer, LineCounter, Parser, parseDocument, type YAMLError } from 'yaml';
import { InvalidPayloadError } from './errors.ts';
import type { JsonValue } from './json.ts';

/** Aliases that one document may expand to: enough for people, too few for a "billion laughs" bomb. */
const aliasLimit = 100;

/** How deep a document may nest, in tokens of the parser that are open at once; a level takes one or two. */
const depthLimit = 200;

/**
 * Kinds of mistakes whose explanation by the parser never quotes the document. The others do (an unknown tag is named,
 * and a password that begins with `!` is one), and documents hold secrets.
 */
const safeToExplain: ReadonlySet<ErrorCode> = new Set([
  'ALIAS_PROPS',
  'BAD_INDENT',
  'BLOCK_AS_IMPLICIT_KEY',
  'BLOCK_IN_FLOW',
  'DUPLICATE_KEY',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_TAGS',
  'TAB_AS_INDENT',
]);

/** What {@link parseYaml} itself refuses; its message quotes at most a key. */
class Refusal extends Error {}

/**
 * Parse one YAML 1.2 document from outside. Duplicate keys, custom tags, keys that reach a prototype and numbers that
 * are not finite are refused; dates stay strings, as they are in JSON. An empty document is null.
 *
 * @throws InvalidPayloadError with line and column. Neither its message nor its cause quotes a value of the document.
 */
export function parseYaml(text: string, what: string): JsonValue {
  try {
    refuseDeepNesting(text);
    const lineCounter = new LineCounter();
    const document = parseDocument(text, {
      uniqueKeys: true,
      stringKeys: true,
      prettyErrors: false,
      schema: 'core',
      resolveKnownTags: false,
      lineCounter,
    });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw new Refusal(explain(problem, lineCounter));
    return document.toJS({ maxAliasCount: aliasLimit, reviver }) as JsonValue;
  } catch (error) {
    throw new InvalidPayloadError(what, `is not acceptable YAML: ${reason(error)}`);
  }
}

/**
 * Composing a document is recursive, and a regular expression compiled near the end of the stack makes V8 abort the
 * whole process; no exception comes that could be caught. The parser below it has a stack of its own, to be measured.
 */
function refuseDeepNesting(text: string): void {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    Array.from(parser.next(lexeme));
    if (parser.stack.length > depthLimit) throw new Refusal('it is nested too deeply');
  }
}

function explain(problem: YAMLError, lineCounter: LineCounter): string {
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  const explanation = safeToExplain.has(problem.code)
    ? problem.message
    : problem.code.toLowerCase().replaceAll('_', ' ');
  return `${explanation} at line ${line}, column ${col}`;
}

function reviver(key: unknown, value: unknown): unknown {
  if (key === '__proto__') throw new Refusal('the key "__proto__" is not allowed');
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new Refusal(`${JSON.stringify(String(key))} is not a finite number`);
  }
  return value;
}

function reason(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  // The parser's own errors here name the alias, which may be a password that begins with an asterisk.
  if (error instanceof ReferenceError) {
    return error.message.startsWith('Excessive alias')
      ? `it expands to more than ${aliasLimit} aliases`
      : 'an alias (*name) has no anchor (&name) before it; quote a text that begins with *';
  }
  return 'it is nested too deeply';
}
