/** A saga as a Mermaid flowchart, with one instance's state drawn over it. Pure. */

import { isoTime } from '../core/clock.ts';
import { InvalidOptionsError } from '../core/errors.ts';
import type { SagaRecord } from '../ports/saga-store.ts';
import { currentSteps, drawnStates } from './diagram-state.ts';
import { type DrawnStep, type DrawnUnit, drawnUnits, isConditional } from './diagram-units.ts';
import type { Saga } from './saga-phases.ts';

/** How each state looks, on a light page and on a dark one. */
const looks: Readonly<Record<string, string>> = {
  done: 'fill:#2da44e,stroke:#1a7f37,color:#ffffff',
  undone: 'fill:#9a6700,stroke:#7d4e00,color:#ffffff',
  refused: 'fill:#bc4c00,stroke:#953800,color:#ffffff',
  failed: 'fill:#cf222e,stroke:#a40e26,color:#ffffff',
  waiting: 'fill:#0969da,stroke:#0550ae,color:#ffffff',
  parked: 'fill:#8250df,stroke:#6639ba,color:#ffffff',
  omitted: 'fill:#eaeef2,stroke:#8c959f,color:#57606a,stroke-dasharray:4 3',
  skipped: 'fill:#d8b9ff,stroke:#6639ba,color:#24292f',
  begun: 'fill:#fff8c5,stroke:#9a6700,color:#24292f',
  current: 'stroke-width:4px',
};

/**
 * A saga's definition as a Mermaid flowchart: its steps in order, the pivot as a hexagon, parallel groups and nested sagas
 * as frames, conditions as edges, and where it turns back. With a record, what became of each step of that instance is
 * drawn over it by colour, and where it is now by a thick border.
 *
 * @throws InvalidOptionsError when the record is of another saga or of another shape.
 */
export function diagram(saga: Pick<Saga, 'name' | 'hash' | 'definition'>, record?: SagaRecord): string {
  if (record !== undefined && (record.saga !== saga.name || record.hash !== saga.hash)) {
    const received = `a record of saga ${record.saga}, shape ${record.hash}`;
    const accepts = `a record of saga ${saga.name}, shape ${saga.hash}`;
    throw new InvalidOptionsError('diagram', [{ field: 'record', received, accepts }]);
  }
  return new Drawing(saga.name, saga.definition.plan.steps, record).text();
}

/** Where an edge begins, and what it says. */
interface Tail {
  readonly node: string;
  readonly says?: string | undefined;
}

class Drawing {
  readonly #name: string;
  readonly #steps: readonly DrawnStep[];
  readonly #record: SagaRecord | undefined;
  readonly #nodes: string[] = [];
  readonly #edges: string[] = [];
  readonly #ids: Map<string, string> = new Map();
  #frames = 0;
  #joints = 0;

  constructor(name: string, steps: readonly DrawnStep[], record: SagaRecord | undefined) {
    this.#name = name;
    this.#steps = steps;
    this.#record = record;
    for (const [index, step] of steps.entries()) this.#ids.set(step.name, `s${index}`);
  }

  text(): string {
    const record = this.#record;
    const of = record === undefined ? [this.#name] : [this.#name, record.id, record.status];
    this.#nodes.push(`  began([${label(of)}])`);
    const tails = this.#draw(drawnUnits(this.#steps), [{ node: 'began' }], '  ');
    this.#nodes.push(`  completed([${label(['completed'])}])`);
    this.#connect(tails, 'completed');
    this.#back();
    const classes = record === undefined ? [] : this.#classes(record);
    return `${['flowchart TD', ...this.#nodes, ...this.#edges, ...classes].join('\n')}\n`;
  }

  #draw(units: readonly DrawnUnit[], tails: readonly Tail[], indent: string): readonly Tail[] {
    let from = tails;
    for (const unit of units) {
      if (isConditional(unit)) from = this.#joined(from, indent);
      const entering = isConditional(unit) ? from.map(({ node }) => ({ node, says: 'when' })) : from;
      const passing = isConditional(unit) ? from.map(({ node }) => ({ node, says: 'else' })) : [];
      from = [...this.#unit(unit, entering, indent), ...passing];
    }
    return from;
  }

  /** One end of several, so that conditions in a row do not multiply the edges. */
  #joined(tails: readonly Tail[], indent: string): readonly Tail[] {
    if (tails.length < 2) return tails;
    this.#joints += 1;
    const node = `j${this.#joints}`;
    this.#nodes.push(`${indent}${node}((${label([' '])}))`);
    this.#connect(tails, node);
    return [{ node }];
  }

  #unit(unit: DrawnUnit, tails: readonly Tail[], indent: string): readonly Tail[] {
    if (unit.type === 'step') return this.#step(unit.step, tails, indent);
    const name = unit.type === 'parallel' ? unit.name : unit.scope.name;
    this.#frames += 1;
    this.#nodes.push(`${indent}subgraph f${this.#frames}[${label([`${unit.type} ${name}`])}]`);
    const ends =
      unit.type === 'parallel'
        ? unit.units.flatMap((member) => this.#draw([member], tails, `${indent}  `))
        : this.#draw(unit.units, this.#step(unit.scope, tails, `${indent}  `), `${indent}  `);
    this.#nodes.push(`${indent}end`);
    return ends;
  }

  #step(step: DrawnStep, tails: readonly Tail[], indent: string): readonly Tail[] {
    const node = this.#ids.get(step.name)!;
    this.#nodes.push(`${indent}${node}${shaped(step, label(this.#linesOf(step)))}`);
    this.#connect(tails, node);
    return [{ node }];
  }

  #linesOf(step: DrawnStep): readonly string[] {
    const kind = step.type === 'call' || step.type === undefined ? step.kind : step.type;
    const more = [
      kind === 'compensatable' ? '' : kind,
      step.undoable ? 'undo' : '',
      step.once === true ? 'once' : '',
    ];
    const recorded = this.#record?.steps.find(({ name }) => name === step.name);
    const until = recorded?.status === 'open' ? recorded.until : undefined;
    const lines = [step.name, more.filter(Boolean).join(', '), recorded?.error ?? ''];
    if (until !== undefined && Math.abs(until) <= 8.64e15) lines.push(`until ${isoTime(until)}`);
    return lines.filter(Boolean);
  }

  #connect(tails: readonly Tail[], node: string): void {
    for (const tail of tails) {
      const arrow =
        tail.says === undefined ? '-->' : `${tail.says === 'else' ? '-.->' : '-->'}|${tail.says}|`;
      this.#edges.push(`  ${tail.node} ${arrow} ${node}`);
    }
  }

  /** The last step that can turn it back leads to where everything before it is undone. */
  #back(): void {
    const last = this.#steps.findLast(({ kind, type }) => kind !== 'retriable' && type !== 'scope');
    if (last === undefined) return;
    this.#nodes.push(`  compensated([${label(['compensated'])}])`);
    const says = last.kind === 'pivot' ? 'refused' : 'refused or failed';
    this.#edges.push(`  ${this.#ids.get(last.name)} -.->|${says}| compensated`);
  }

  #classes(record: SagaRecord): readonly string[] {
    const classes: string[] = [];
    for (const [name, state] of drawnStates(record)) this.#class(classes, name, state);
    for (const name of currentSteps(this.#steps, record)) this.#class(classes, name, 'current');
    if (record.status === 'completed') classes.push('  class completed done');
    if (record.status === 'compensated' || record.status === 'compensating') {
      classes.push(`  class compensated ${record.status === 'compensated' ? 'undone' : 'current'}`);
    }
    if (record.status === 'parked' || record.status === 'resolved') classes.push('  class began parked');
    return [...Object.entries(looks).map(([name, look]) => `  classDef ${name} ${look}`), ...classes];
  }

  #class(classes: string[], name: string, state: string): void {
    const node = this.#ids.get(name);
    // A record may have more than its plan when it was written by other code.
    if (node !== undefined) classes.push(`  class ${node} ${state}`);
  }
}

/** What a kind of step looks like. */
function shaped({ kind, type }: DrawnStep, text: string): string {
  if (type === 'delay') return `[/${text}/]`;
  if (type === 'wait') return `>${text}]`;
  if (type === 'scope') return `([${text}])`;
  if (kind === 'pivot') return `{{${text}}}`;
  return kind === 'retriable' ? `[[${text}]]` : `[${text}]`;
}

/** Lines as a quoted label. Whatever Mermaid could read as more than text is written as the number of its character. */
function label(lines: readonly string[]): string {
  return `"${lines.map(escaped).join('<br/>')}"`;
}

const longest = 120;

function escaped(text: string): string {
  const characters = [...text];
  const short = characters.length > longest ? [...characters.slice(0, longest), '…'] : characters;
  return short.map((character) => (isPlain(character) ? character : `#${codeOf(character)};`)).join('');
}

function isPlain(character: string): boolean {
  return /^[\p{L}\p{M}\p{N} .,_-]$/u.test(character);
}

/** A character that is no text, such as a line's end or half of a pair, is shown as a replacement character. */
function codeOf(character: string): number {
  return /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/u.test(character)
    ? 0xfffd
    : (character.codePointAt(0) ?? 0xfffd);
}
