/** Mermaid's own parser, without a browser. */
import DOMPurify from 'dompurify';

/** A flowchart as Mermaid reads it. */
export interface ParsedFlowchart {
  /** Classes by the text of the node's label. */
  readonly nodes: ReadonlyMap<string, readonly string[]>;
  /** `from -> to`, by labels, with what stands on the edge. */
  readonly edges: readonly string[];
  /** Titles of the frames, and how many nodes are in each. */
  readonly frames: readonly (readonly [string, number])[];
}

interface FlowDatabase {
  getVertices(): Map<string, { readonly id: string; readonly text: string; readonly classes: string[] }>;
  getEdges(): { readonly start: string; readonly end: string; readonly text: string }[];
  getSubGraphs(): { readonly title: string; readonly nodes: string[] }[];
}

// It cleans what is drawn and has no use for what is only parsed; without a window it has no methods.
Object.assign(DOMPurify, { addHook: () => {}, sanitize: (text: string) => text });
const { default: mermaid } = await import('mermaid');

/** @throws Error when it is no flowchart that Mermaid can read. */
export async function parseFlowchart(text: string): Promise<ParsedFlowchart> {
  await mermaid.parse(text);
  const { db } = (await mermaid.mermaidAPI.getDiagramFromText(text)) as unknown as {
    readonly db: FlowDatabase;
  };
  const vertices = db.getVertices();
  const labelOf = (id: string): string => decoded(vertices.get(id)?.text ?? id);
  return {
    nodes: new Map([...vertices.values()].map(({ id, classes }) => [labelOf(id), classes])),
    edges: db
      .getEdges()
      .map(({ start, end, text: says }) =>
        `${labelOf(start)} ${says ? `-${says}` : ''}-> ${labelOf(end)}`.replace('  ', ' '),
      ),
    frames: db.getSubGraphs().map(({ title, nodes }) => [decoded(title), nodes.length] as const),
  };
}

/** Mermaid keeps numbers of characters in a form of its own. */
function decoded(text: string): string {
  return text.replace(/ﬂ°°(\d+)¶ß/g, (_, code: string) => String.fromCodePoint(Number(code)));
}
