import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root } from './source-files.ts';

/** A module's types, as a tree, without comments and bodies. */
interface Declarations {
  readonly file: ts.SourceFile;
  /** Statement by the name that it declares. */
  readonly declared: ReadonlyMap<string, ts.Statement>;
  /** Where a name that is passed on comes from. */
  readonly passedOn: ReadonlyMap<string, { readonly path: string; readonly name: string }>;
}

const cache = new Map<string, Declarations>();
const printer = ts.createPrinter({ removeComments: true });

/**
 * The public face of a module as text: each exported name, sorted, with its declaration. Works on the sources, whose
 * types are all written out (`isolatedDeclarations`), so that nothing has to be built or inferred.
 */
export function publicDeclarations(path: string): string {
  const { declared, passedOn } = declarationsOf(path);
  const names = [...new Set([...exportedNames(declared), ...passedOn.keys()])].sort();
  return names.map((name) => `${declarationOf(path, name)}\n`).join('\n');
}

function exportedNames(declared: ReadonlyMap<string, ts.Statement>): string[] {
  return [...declared].filter(([, statement]) => isExported(statement)).map(([name]) => name);
}

function isExported(statement: ts.Statement): boolean {
  return ts.canHaveModifiers(statement)
    ? (ts.getModifiers(statement)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword) ?? false)
    : false;
}

function declarationOf(path: string, name: string, as = name): string {
  const { file, declared, passedOn } = declarationsOf(path);
  const statement = declared.get(name);
  if (statement !== undefined) {
    const text = printer.printNode(ts.EmitHint.Unspecified, statement, file);
    return as === name ? text : `${text}\nexport { ${name} as ${as} };`;
  }
  const origin = passedOn.get(name);
  if (origin === undefined) throw new Error(`${path} does not export ${name}`);
  if (!existsSync(`${root}${origin.path}`)) return `export { ${name} } from '${origin.path}';`;
  return declarationOf(origin.path, origin.name, as);
}

function declarationsOf(path: string): Declarations {
  const known = cache.get(path);
  if (known !== undefined) return known;
  const text = readFileSync(`${root}${path}`, 'utf8');
  const { outputText } = ts.transpileDeclaration(text, {
    fileName: path,
    compilerOptions: { isolatedDeclarations: true, target: ts.ScriptTarget.ES2023 },
  });
  const file = ts.createSourceFile(path.replace(/\.ts$/, '.d.ts'), outputText, ts.ScriptTarget.ES2023);
  const declared = new Map<string, ts.Statement>();
  const passedOn = new Map<string, { path: string; name: string }>();
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) collectPassedOn(statement, path, passedOn);
    else for (const name of namesOf(statement)) declared.set(name, statement);
  }
  const declarations = { file, declared, passedOn };
  cache.set(path, declarations);
  return declarations;
}

function collectPassedOn(
  statement: ts.ExportDeclaration,
  path: string,
  passedOn: Map<string, { path: string; name: string }>,
): void {
  const { exportClause, moduleSpecifier } = statement;
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return;
  const specifier =
    moduleSpecifier !== undefined && ts.isStringLiteral(moduleSpecifier) ? moduleSpecifier.text : '';
  const from = specifier.startsWith('.') ? join(dirname(path), specifier) : specifier;
  for (const { name, propertyName } of exportClause.elements) {
    passedOn.set(name.text, { path: from, name: (propertyName ?? name).text });
  }
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((d) => (ts.isIdentifier(d.name) ? d.name.text : ''));
  }
  const { name } = statement as { readonly name?: ts.Node };
  return name !== undefined && ts.isIdentifier(name) ? [name.text] : [];
}
