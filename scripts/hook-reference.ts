/**
 * The table of hooks in docs/plugins.md, made from the comments of the interface that plugins implement: what the compiler
 * checks and what a plugin author reads cannot differ.
 */

const BEGIN = "<!-- hooks: written by npm run docs -->";
const END = "<!-- /hooks -->";

export interface HookDescription {
  readonly name: string;
  readonly signature: string;
  readonly text: string;
}

/** The hooks of `interface Feature` in the source of phases.ts, in its order. Throws when one has no comment. */
export function readHooks(source: string): HookDescription[] {
  const body = /export interface Feature \{\n(.*?)\n\}\n/s.exec(source)?.[1] ?? "";
  const hooks = [...body.matchAll(/(?: {2}\/\*\*((?:(?!\*\/).)*)\*\/\n)? {2}(\w+)\?\((.*?)\): (.*?);\n?/gs)];
  return hooks.map(([, comment, name = "", parameters = "", result = ""]) => {
    if (comment === undefined) throw new Error(`the hook ${name} has no comment`);
    const text = comment
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, "").trim())
      .join(" ")
      .trim();
    return { name, signature: `${name}(${parameters}): ${result}`, text };
  });
}

/** The document with its generated part replaced. Throws when the marks are missing. */
export function withHookReference(document: string, source: string): string {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new Error("docs/plugins.md has lost the marks of its generated part");
  const sections = readHooks(source).map(
    ({ name, signature, text }) => `### ${name}\n\n\`\`\`ts\n${signature}\n\`\`\`\n\n${text}\n`,
  );
  return `${document.slice(0, from)}${BEGIN}\n\n${sections.join("\n")}\n${document.slice(to)}`;
}
