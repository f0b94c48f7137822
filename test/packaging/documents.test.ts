// What the documents of the repository say can be done: configurations that are accepted, links that lead somewhere,
// commands that exist.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { parseConfig } from "../../src/config/parse.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { codeBlocks, linkTargets } from "./markdown.ts";
import { manifest, repositoryRoot } from "./npm.ts";

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/auth.md",
  "docs/cache.md",
  "docs/coming-from.md",
  "docs/forward.md",
  "docs/install.md",
  "docs/native-transport.md",
  "docs/operations.md",
  "native/README.md",
];

/** Whatever a document says is in a file: a key of 256 bits. */
const files = {
  resolvePath: (file: string) => file,
  readSecret: () => "7".repeat(64),
  readSecretBytes: () => Buffer.from("7".repeat(64)),
};

function read(file: string): string {
  return readFileSync(path.join(repositoryRoot, file), "utf8");
}

for (const document of documents) {
  describe(document, () => {
    const text = read(document);

    for (const [index, block] of codeBlocks(text, "yaml").entries()) {
      test(`configuration ${index + 1} is accepted`, () => {
        const result = parseConfig(block, { file: document, files });
        assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
        assert.deepEqual(result.warnings.map(formatProblem), []);
      });
    }

    test("its links lead somewhere", () => {
      const broken = linkTargets(text).filter(({ file, anchor }) => {
        const target = file === "" ? document : path.posix.join(path.posix.dirname(document), file);
        if (!existsSync(path.join(repositoryRoot, target))) return true;
        return anchor !== "" && !anchors(read(target)).includes(anchor);
      });
      assert.deepEqual(broken, []);
    });

    test("the npm scripts that it names exist", () => {
      const named = [...text.matchAll(/\bnpm (?:run )?(start|test|(?<=run )[\w-]+)/g)].map((match) => match[1] ?? "");
      assert.deepEqual(
        named.filter((name) => !(name in manifest.scripts)),
        [],
      );
    });
  });
}

/** The anchors that a Markdown viewer makes of headings. */
function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ +(.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .trim()
      .replace(/\s/g, "-"),
  );
}
