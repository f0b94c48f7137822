// curl from the system as a client. The test must have asked for `needs("curl")`.

import { spawn } from "node:child_process";
import { findCommand } from "./requirements.ts";

export interface CurlResult {
  readonly status: number | null;
  /** latin1 */
  readonly output: string;
  /** What it says with --verbose, and its errors. */
  readonly log: string;
}

/** Runs it to its end. `input`: what it reads from its standard input. */
export function curl(args: readonly string[], input: Uint8Array | string = ""): Promise<CurlResult> {
  const child = spawn(findCommand("curl")!, ["--silent", "--show-error", "--max-time", "20", ...args]);
  let output = "";
  let log = "";
  child.stdout.setEncoding("latin1").on("data", (text) => {
    output += text;
  });
  child.stderr.setEncoding("latin1").on("data", (text) => {
    log += text;
  });
  // It may end without having read it all.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output, log }));
  });
}
