// From nothing to a build through the proxy with docs/forward.md alone: its command blocks, in order, in one shell, as a new user would
// paste them, in a world where example.org is a server of the test. What they are said to print is compared with what they printed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { FORWARD_FAILURES, FORWARD_REFUSALS } from "../../src/forward/refusal.ts";
import { type Block, blocksOf, installCommand } from "../support/document.ts";
import { TestFolder } from "../support/folder.ts";
import { inSmallWorld, needsSmallWorld } from "../support/forward-clients/small-world.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { needs } from "../support/requirements.ts";

const TITLE = "A build through the proxy, from nothing";
/** How the log tells of a tunnel whose client had all that it wanted, and was gone before its end. */
const LEFT_TUNNEL =
  /connection_terminated \(client\): connection of client \S+: the peer reset the connection \(ECONNRESET\)$/gm;
const text = readFileSync(path.join(repositoryRoot, "docs/forward.md"), "utf8");

/**
 * Lines of the log are written in batches: instead of for a second, the test waits until the command prints as many as are
 * said to come.
 */
function untilItPrints(command: string, blocks: readonly Block[]): string {
  const asked = blocks.findIndex(({ kind, body }) => kind === "sh" && body.includes(`sleep 1\n${command}\n`));
  const lines = blocks[asked + 1]!.body.trimEnd().split("\n").length;
  return `until [ "$(${command} | wc -l)" -ge ${lines} ]; do sleep 0.05; done\n${command}`;
}

describe("docs/forward.md", () => {
  const skip = needs("curl", "python3") || needsSmallWorld();
  test(`"${TITLE}" works as it is pasted, and prints what it says`, { skip, timeout: 240_000 }, async () => {
    using folder = new TestFolder();
    const blocks = blocksOf(text, TITLE);
    const pasted = blocks.flatMap(({ kind, body }) => (kind === "sh" ? [body] : [])).join("\n");
    const script = pasted.replaceAll(/^sleep 1$\n(.*)$/gm, (_, command: string) => untilItPrints(command, blocks));
    // Each alone in its order, but for what a log says: two workers hand in their lines in batches.
    const expected = blocks.flatMap(({ kind, body }) =>
      kind === "text"
        ? [body.trimEnd().split("\n")]
        : [...body.matchAll(/\bask .* # (\d.*)$/gm)].map(([, said]) => [said!]),
    );
    const lines = expected.flat().length;
    assert.ok(lines >= 17, `${lines} lines are said to be printed`);
    const { command, args, ca } = inSmallWorld(folder, `set -e\n${script}`);
    const env = {
      PATH: `${installCommand(folder)}:${process.env.PATH}`,
      CURL_CA_BUNDLE: ca,
      NODE_EXTRA_CA_CERTS: ca,
      CACHE_DIRECTORY: folder.file("cache"),
      // It starts the command ten times.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? folder.file("compiled"),
    };
    await using shell = Program.command(command, args, { cwd: folder.path, env });
    assert.equal(await shell.exit(), 0, shell.output);
    let from = 0;
    // curl leaves a tunnel without waiting for what TLS says at its end; when that comes behind it, the system resets the connection.
    const printed = shell.output.replaceAll(LEFT_TUNNEL, "-").split("\n");
    for (const block of expected) {
      const places = block.map((line) => printed.indexOf(line, from));
      const missing = block.filter((_, at) => places[at]! < 0);
      assert.deepEqual(missing, [], `it does not print this, or not there\n\n${shell.output}`);
      from = Math.max(from, ...places.map((at) => at + 1));
    }
  });

  test("has the reasons of refusals, and no others", () => {
    const section = text.split("## Refusals\n")[1] ?? "";
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, reason, says]) => [reason, says]);
    assert.deepEqual(rows, Object.entries({ ...FORWARD_REFUSALS, ...FORWARD_FAILURES }));
  });
});
