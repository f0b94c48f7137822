// From nothing to the cache of a build farm with docs/cache.md alone: its command blocks, in order, in one shell, as a new user would
// paste them. What they are said to print is compared with what they printed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { REASONS } from "../../src/features/cache/reasons.ts";
import { blocksOf, installCommand } from "../support/document.ts";
import { TestFolder } from "../support/folder.ts";
import { inSmallWorld, needsSmallWorld } from "../support/forward-clients/small-world.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { needs } from "../support/requirements.ts";

const TITLE = "A cache for a build farm, from nothing";
const text = readFileSync(path.join(repositoryRoot, "docs/cache.md"), "utf8");

describe("docs/cache.md", () => {
  const skip = needs("curl", "python3") || needsSmallWorld();
  test(`"${TITLE}" works as it is pasted, and prints what it says`, { skip, timeout: 240_000 }, async () => {
    using folder = new TestFolder();
    const blocks = blocksOf(text, TITLE);
    const script = blocks.flatMap(({ kind, body }) => (kind === "sh" ? [body] : [])).join("\n");
    const expected = blocks.flatMap(({ kind, body }) =>
      kind === "text"
        ? body.trimEnd().split("\n")
        : [...body.matchAll(/\bfetch .* # (\d.*)$/gm)].map(([, said]) => said!),
    );
    assert.ok(expected.length >= 10, `${expected.length} lines are said to be printed`);
    const { command, args, ca } = inSmallWorld(folder, `set -e\n${script}`);
    const env = {
      PATH: `${installCommand(folder)}:${process.env.PATH}`,
      CURL_CA_BUNDLE: ca,
      CACHE_DIRECTORY: folder.file("cache"),
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? folder.file("compiled"),
    };
    await using shell = Program.command(command, args, { cwd: folder.path, env });
    assert.equal(await shell.exit(), 0, shell.output);
    // Who comes before the download is committed is served by it: on a busy machine that may be the next one, too.
    const printed = shell.output.replaceAll("200 headgate; fwd=miss; collapsed", "200 headgate; hit").split("\n");
    let from = 0;
    for (const line of expected) {
      const at = printed.indexOf(line, from);
      assert.ok(at >= 0, `it does not print ${JSON.stringify(line)}, or not there\n\n${shell.output}`);
      from = at + 1;
    }
  });

  test("has the reasons of the cache, and no others", () => {
    const section = text.split("## Operations\n")[1]!.split("## From nginx\n")[0]!;
    const rows = [...section.matchAll(/^\| `([\w-]+)` \| (.*) \|$/gm)].map(([, reason, says]) => [reason, says]);
    assert.deepEqual(rows, Object.entries(REASONS));
  });
});
