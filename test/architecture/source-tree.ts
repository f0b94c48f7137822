// The source files as they are in this clone, for the tests that hold them to the rules.

import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";

export const repositoryRoot = path.resolve(import.meta.dirname, "../..");

/** The text of every source file, by its path below src; tests are exempt from the architecture. */
export function readSourceTexts(): Map<string, string> {
  const folder = path.join(repositoryRoot, "src");
  const files = globSync("**/*.ts", { cwd: folder }).filter((file) => !file.endsWith(".test.ts"));
  return new Map(
    files.sort().map((file) => [file.replaceAll(path.sep, "/"), readFileSync(path.join(folder, file), "utf8")]),
  );
}

/** What git tracks or would track; null outside a git checkout. Deleted files that git still lists are left out. */
export function listTrackedFiles(): string[] | null {
  if (!existsSync(path.join(repositoryRoot, ".git"))) return null;
  const safe = `safe.directory=${repositoryRoot}`;
  const args = ["-c", safe, "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", args, { cwd: repositoryRoot, encoding: "utf8" });
  return listed.split("\0").filter((file) => file !== "" && existsSync(path.join(repositoryRoot, file)));
}
