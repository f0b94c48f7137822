// From nothing to a build through the proxy with docs/forward.md alone: its command blocks, in order, in one shell, as a new user would
// paste them, in a world where example.org is a server of the test. What they are said to print is compared with what they printed.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { FORWARD_FAILURES, FORWARD_REFUSALS } from "../../src/forward/refusal.ts";
import { TestFolder } from "../support/folder.ts";
import { inSmallWorld, needsSmallWorld } from "../support/forward-clients/small-world.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { needs } from "../support/requirements.ts";

const TITLE = "A build through the proxy, from nothing";
const text = readFileSync(path.join(repositoryRoot, "docs/forward.md"), "utf8");

/** The blocks of a section in order: what is run, and what it is said to print. */
function blocksOf(title: string): { readonly kind: string; readonly body: string }[] {
  const [, section = ""] = text.split(`## ${title}\n`);
  const own = section.split(/^## /m)[0]!;
  return [...own.matchAll(/^```(sh|text)\n(.*?)^```$/gms)].map(([, kind, body]) => ({ kind: kind!, body: body! }));
}

/** The command, as an installed package has it. */
function installCommand(folder: TestFolder): string {
  const bin = folder.file("bin");
  mkdirSync(bin);
  const program = path.join(repositoryRoot, "src/cli/main.ts");
  const script = `#!/bin/sh\nexec "${process.execPath}" --conditions=headgate-source --disable-sigusr1 "${program}" "$@"\n`;
  writeFileSync(path.join(bin, "headgate"), script);
  chmodSync(path.join(bin, "headgate"), 0o755);
  return bin;
}

describe("docs/forward.md", () => {
  const skip = needs("curl", "python3") || needsSmallWorld();
  test(`"${TITLE}" works as it is pasted, and prints what it says`, { skip, timeout: 240_000 }, async () => {
    using folder = new TestFolder();
    const blocks = blocksOf(TITLE);
    const pasted = blocks.flatMap(({ kind, body }) => (kind === "sh" ? [body] : [])).join("\n");
    // Lines of the log are written in batches, and a machine that runs tests is busy.
    const script = pasted.replaceAll(/^sleep 1$/gm, "sleep 2");
    const expected = blocks.flatMap(({ kind, body }) =>
      kind === "text"
        ? body.trimEnd().split("\n")
        : [...body.matchAll(/\bask .* # (\d.*)$/gm)].map(([, said]) => said!),
    );
    assert.ok(expected.length >= 17, `${expected.length} lines are said to be printed`);
    const { command, args, ca } = inSmallWorld(folder, `set -e\n${script}`);
    const env = {
      PATH: `${installCommand(folder)}:${process.env.PATH}`,
      CURL_CA_BUNDLE: ca,
      NODE_EXTRA_CA_CERTS: ca,
      CACHE_DIRECTORY: folder.file("cache"),
      // It starts the command ten times.
      NODE_COMPILE_CACHE: folder.file("compiled"),
    };
    await using shell = Program.command(command, args, { cwd: folder.path, env });
    assert.equal(await shell.exit(), 0, shell.output);
    let from = 0;
    const printed = shell.output.split("\n");
    for (const line of expected) {
      const at = printed.indexOf(line, from);
      assert.ok(at >= 0, `it does not print, or not there: ${line}\n\n${shell.output}`);
      from = at + 1;
    }
  });

  test("has the reasons of refusals, and no others", () => {
    const section = text.split("## Refusals\n")[1] ?? "";
    const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, reason, says]) => [reason, says]);
    assert.deepEqual(rows, Object.entries({ ...FORWARD_REFUSALS, ...FORWARD_FAILURES }));
  });
});
