// Reads from the source text of a file what the architecture rules are about: its imports and the globals it uses.
// The TypeScript compiler parses, so comments, strings, templates and regular expressions never look like code. Files
// are handed over as text; nothing is resolved or type-checked, and nothing is judged here.

import { after } from "node:test";
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import {
  isCallExpression,
  isExportDeclaration,
  isExternalModuleReference,
  isIdentifier,
  isImportDeclaration,
  isImportEqualsDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isMetaProperty,
  isNewExpression,
  isPropertyAccessExpression,
  isStringLiteral,
} from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";

export interface Import {
  /** The text of the specifier, or null where it is computed. */
  specifier: string | null;
  /**
   * `value` exists at run time (also `import { type A }`, which verbatimModuleSyntax keeps); `type` does not; `dynamic`
   * is `import()`; `url` is `new URL("./x.ts", import.meta.url)`, the address of another entry.
   */
  kind: "value" | "type" | "dynamic" | "url";
  line: number;
}

export interface GlobalUse {
  /** `setTimeout`, or with its member `Date.now`; `Date()` is the date of now. */
  name: string;
  line: number;
}

export interface SourceFacts {
  imports: Import[];
  globals: GlobalUse[];
  /** Every statement is `export ... from`. */
  onlyReexports: boolean;
}

/** What the compiler sees in place of a disk; each reading has a folder of its own. */
const texts = new Map<string, string>();
let readings = 0;

const compiler = new API({
  cwd: "/",
  fs: {
    fileExists: (file) => texts.has(file),
    readFile: (file) => texts.get(file) ?? null,
    directoryExists: (folder) => folder.lastIndexOf("/") <= 0,
    getAccessibleEntries: () => ({ files: [], directories: [] }),
    realpath: (file) => file,
  },
});
after(() => compiler.close());

/** Facts for each of the given files, a path to its text. */
export function readSourceFacts(sources: ReadonlyMap<string, string>): Map<string, SourceFacts> {
  readings += 1;
  const folder = `/${readings}`;
  const compilerOptions = { noResolve: true, noLib: true, types: [], module: "nodenext", target: "esnext" };
  texts.set(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, files: [...sources.keys()] }));
  for (const [file, text] of sources) texts.set(`${folder}/${file}`, text);

  using snapshot = compiler.updateSnapshot({ openProjects: [`${folder}/tsconfig.json`] });
  const program = snapshot.getProject(`${folder}/tsconfig.json`)?.program;
  const facts = new Map<string, SourceFacts>();
  for (const file of sources.keys()) {
    const parsed = program?.getSourceFile(`${folder}/${file}`);
    if (parsed === undefined) throw new Error(`${file} was not parsed`);
    facts.set(file, factsOf(parsed));
  }
  return facts;
}

function factsOf(source: SourceFile): SourceFacts {
  const imports: Import[] = [];
  const globals: GlobalUse[] = [];
  const lineOf = (node: Node) => source.text.slice(0, node.getStart(source)).split("\n").length;
  const visit = (node: Node): void => {
    const found = importIn(node);
    if (found !== null) imports.push({ ...found, line: lineOf(node) });
    const global = globalIn(node);
    if (global !== null) globals.push({ name: global, line: lineOf(node) });
    node.forEachChild(visit);
  };
  visit(source);
  const statements = [...source.statements];
  const onlyReexports = statements.every((s) => isExportDeclaration(s) && s.moduleSpecifier !== undefined);
  return { imports, globals, onlyReexports };
}

function textOf(node: Node | undefined): string | null {
  const literal = node !== undefined && isLiteralTypeNode(node) ? node.literal : node;
  if (literal === undefined) return null;
  if (isStringLiteral(literal)) return literal.text;
  return literal.kind === SyntaxKind.NoSubstitutionTemplateLiteral ? literal.getText().slice(1, -1) : null;
}

function importIn(node: Node): Omit<Import, "line"> | null {
  if (isImportDeclaration(node)) {
    const isType = node.importClause?.phaseModifier === SyntaxKind.TypeKeyword;
    return { specifier: textOf(node.moduleSpecifier), kind: isType ? "type" : "value" };
  }
  if (isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { specifier: textOf(node.moduleSpecifier), kind: node.isTypeOnly ? "type" : "value" };
  }
  if (isImportEqualsDeclaration(node) && isExternalModuleReference(node.moduleReference)) {
    return { specifier: textOf(node.moduleReference.expression), kind: node.isTypeOnly ? "type" : "value" };
  }
  if (isImportTypeNode(node)) return { specifier: textOf(node.argument), kind: "type" };
  if (isCallExpression(node)) {
    const isImport = node.expression.kind === SyntaxKind.ImportKeyword;
    return isImport ? { specifier: textOf(node.arguments[0]), kind: "dynamic" } : null;
  }
  if (isNewExpression(node) && isIdentifier(node.expression) && node.expression.text === "URL") {
    const [address, base] = node.arguments ?? [];
    const isOurs = base !== undefined && isPropertyAccessExpression(base) && isMetaProperty(base.expression);
    const specifier = textOf(address);
    return isOurs && specifier?.endsWith(".ts") ? { specifier, kind: "url" } : null;
  }
  return null;
}

/** Names that carry a meaning of their own at these places, and so are no use of a global. */
const declaringParents: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.PropertyAssignment,
  SyntaxKind.PropertyDeclaration,
  SyntaxKind.PropertySignature,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.MethodSignature,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
  SyntaxKind.Parameter,
  SyntaxKind.VariableDeclaration,
  SyntaxKind.BindingElement,
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.ImportSpecifier,
  SyntaxKind.ExportSpecifier,
]);

/** Objects whose member is what matters. `globalThis.x` is `x`. */
const namespaces: ReadonlySet<string> = new Set(["Date", "Math", "performance"]);

function globalIn(node: Node): string | null {
  if (isPropertyAccessExpression(node) && isIdentifier(node.expression)) {
    if (node.expression.text === "globalThis") return node.name.text;
    return namespaces.has(node.expression.text) ? `${node.expression.text}.${node.name.text}` : null;
  }
  if (isNewExpression(node) || isCallExpression(node)) {
    const isDate = isIdentifier(node.expression) && node.expression.text === "Date";
    return isDate && (node.arguments?.length ?? 0) === 0 ? "Date()" : null;
  }
  if (!isIdentifier(node)) return null;
  const { parent } = node;
  if (parent.kind === SyntaxKind.TypeQuery) return null;
  if (isPropertyAccessExpression(parent) && parent.name === node) return null;
  const isName = declaringParents.has(parent.kind) && (parent as Node & { name?: Node }).name === node;
  return isName ? null : node.text;
}
