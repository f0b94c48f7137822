// ARCHITECTURE.md and the tree say the same: each folder of src has its section with a line of purpose and an invariant,
// no section speaks of a folder that is gone, and the table of imports is the one that the tests enforce.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { layers } from "./rules.ts";
import { readSourceTexts, repositoryRoot } from "./source-tree.ts";

interface Section {
  purpose: string | undefined;
  invariant: string | undefined;
}

/** The sections whose heading is a folder: a heading of any level, "`src/core/`" and nothing else. */
function readSections(markdown: string): Map<string, Section> {
  const sections = new Map<string, Section>();
  for (const part of markdown.split(/^#+ +/m).slice(1)) {
    const [heading = "", ...body] = part.split("\n").map((line) => line.trim());
    const folder = /^`(src\/.+)\/`$/.exec(heading)?.[1];
    if (folder === undefined) continue;
    const lines = body.filter((line) => line !== "");
    sections.set(folder, {
      purpose: lines.find((line) => !line.startsWith("**")),
      invariant: lines.find((line) => /^\*\*Invariant:\*\* \S/.test(line)),
    });
  }
  return sections;
}

/** Folders of src that hold source files, with those in between: src/protocol as well as src/protocol/http1. */
function listFolders(files: Iterable<string>): string[] {
  const folders = new Set<string>();
  for (const file of files) {
    for (let folder = path.posix.dirname(file); folder !== "."; folder = path.posix.dirname(folder)) {
      folders.add(`src/${folder}`);
    }
  }
  return [...folders].sort();
}

/** The rows that ARCHITECTURE.md must hold, in this order. */
function renderTable(): string {
  const quote = (patterns: readonly string[]) => patterns.map((pattern) => `\`${pattern}\``).join(", ");
  const rows = layers.map(({ folder, imports, types }) => {
    const cells = [`\`${folder}\``, quote(imports) || "nothing", quote(types)];
    return `| ${cells.join(" | ")} |`.replace("|  |", "| |");
  });
  return rows.join("\n");
}

describe("ARCHITECTURE.md", () => {
  const markdown = readFileSync(path.join(repositoryRoot, "ARCHITECTURE.md"), "utf8");
  const sections = readSections(markdown);
  const folders = listFolders(readSourceTexts().keys());

  test("each folder of src has a section", () => {
    assert.deepEqual(
      folders.filter((folder) => !sections.has(folder)),
      [],
    );
  });

  test("each section speaks of a folder that is there", () => {
    assert.deepEqual(
      [...sections.keys()].filter((folder) => !folders.includes(folder)),
      [],
    );
  });

  test("each section has a line of purpose and one invariant", () => {
    const incomplete = [...sections].filter(([, { purpose, invariant }]) => !purpose || !invariant);
    assert.deepEqual(
      incomplete.map(([folder]) => folder),
      [],
    );
  });

  test("the table of imports is the one that is enforced", () => {
    assert.ok(markdown.includes(renderTable()), `ARCHITECTURE.md must hold these rows:\n${renderTable()}\n`);
  });

  test("a section without purpose or invariant, and one of another folder, would be found", () => {
    const planted = readSections(
      "# A\n\n## `src/a/`\n\n**Invariant:** holds.\n\n### `src/b/`\nPurpose.\n\n## `other/`\n",
    );
    assert.deepEqual(Object.fromEntries(planted), {
      "src/a": { purpose: undefined, invariant: "**Invariant:** holds." },
      "src/b": { purpose: "Purpose.", invariant: undefined },
    });
    assert.deepEqual(listFolders(["a/b/c.ts", "index.ts"]), ["src/a", "src/a/b"]);
  });
});
