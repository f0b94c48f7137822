// The parts of a Markdown text that tests hold against the program.

/** The contents of the fenced blocks of a language. */
export function codeBlocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter((match) => match[1] === language)
    .map(([, , body]) => body ?? "");
}

/** Where the links to files of the repository lead. */
export function linkTargets(markdown: string): Array<{ file: string; anchor: string }> {
  const targets = [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  const inside = targets.filter((target) => !/^[a-z]+:/.test(target));
  return inside.map((target) => {
    const [file = "", anchor = ""] = target.split("#");
    return { file, anchor };
  });
}
