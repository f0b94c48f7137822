/** Programs of the bench in C: each is compiled when it is first asked for, and again when its source is newer. */
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { findCommand } from "./commands.ts";

/** What is missing to compile them, or null. */
export function missingCompiler(): string | null {
  return findCommand("cc") === null ? "apt-get install gcc libc6-dev" : null;
}

/** The program of a source file, in the folder `build` beside it. */
export function compiled(source: string): string {
  const program = path.join(path.dirname(source), "build", path.basename(source, ".c"));
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built > statSync(source).mtimeMs) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  const command = ["-O2", "-Wall", "-Wextra", "-o", program, source, "-lm"];
  const { status, stderr } = spawnSync("cc", command, { encoding: "utf8" });
  if (status !== 0) throw new Error(`cc failed: ${stderr}`);
  return program;
}
