// From nothing to a gateway with docs/auth.md alone: its command blocks, in order, in one shell, as a new user would paste them. What a
// command is said to print stands behind it as a comment, and is compared with what it printed.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { freePort, isRefused } from "../support/free-port.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { needs } from "../support/requirements.ts";

const TITLE = "A JMAP gateway, from nothing";
const PORTS = ["6379", "5000", "8080"];

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-document-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The shell's blocks of a section. */
function blocksOf(title: string): string[] {
  const text = readFileSync(path.join(repositoryRoot, "docs/auth.md"), "utf8");
  const [, section = ""] = text.split(`## ${title}\n`);
  const own = section.split(/^## /m)[0]!;
  return [...own.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
}

/** The command, as an installed package has it. */
function installCommand(): string {
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  const program = path.join(repositoryRoot, "src/cli/main.ts");
  const text = `#!/bin/sh\nexec "${process.execPath}" --conditions=headgate-source --disable-sigusr1 "${program}" "$@"\n`;
  writeFileSync(path.join(bin, "headgate"), text);
  chmodSync(path.join(bin, "headgate"), 0o755);
  return bin;
}

describe("docs/auth.md", { skip: needs("redis-server", "openssl", "curl", "python3") }, () => {
  test(`"${TITLE}" works as it is pasted`, { timeout: 120_000 }, async () => {
    const blocks = blocksOf(TITLE);
    assert.ok(blocks.length >= 5, "the section has its blocks");
    let script = blocks.join("\n");
    const expected = [...script.matchAll(/^ask.*# (\d{3})$/gm)].map(([, status]) => status!);
    assert.deepEqual(expected, ["200", "401", "401", "401"]);
    const ports: string[] = [];
    for (const port of PORTS) {
      ports.push(String(await freePort()));
      script = script.replaceAll(port, ports.at(-1)!);
    }
    const env = { PATH: `${installCommand()}:${process.env.PATH}` };
    // `set -m` as in a terminal, where "kill %1" works.
    await using shell = Program.command("bash", ["-c", `set -me\n${script}`], { cwd: folder, env });
    assert.equal(await shell.exit(), 0, shell.output);
    const printed = shell.output.split("\n").filter((line) => /^\d{3}$/.test(line));
    assert.deepEqual(printed, expected, shell.output);
    for (const port of ports) assert.ok(await isRefused(Number(port)), `something still listens on ${port}`);
  });
});
