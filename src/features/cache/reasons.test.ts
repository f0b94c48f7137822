// The reasons why something was not answered or not kept, and docs/cache.md, say the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { REASONS } from "./reasons.ts";

it("every reason stands in the document, and no other", () => {
  const text = readFileSync(new URL("../../../docs/cache.md", import.meta.url), "utf8");
  const [, table = ""] = /^\| reason \| says \|\n\|---\|---\|\n((?:\|.*\n)+)/m.exec(text) ?? [];
  const rows = table.trimEnd().split("\n");
  assert.deepEqual(
    rows,
    Object.entries(REASONS).map(([reason, sentence]) => `| \`${reason}\` | ${sentence} |`),
  );
});
