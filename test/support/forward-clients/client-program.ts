// A program that is a client: run in a folder that is its home, with an environment that says nothing of the machine's own proxies and
// settings, and waited for.

import { spawn } from "node:child_process";
import path from "node:path";
import { findCommand } from "../requirements.ts";

export interface ClientOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ClientOptions {
  /** Its home, and where it runs unless `cwd` says otherwise. */
  readonly home: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
}

/** Far longer than any of them takes, on a busy machine too. */
const MS_MAX = 45_000;

/** `command` is a name on the PATH, or an absolute path. */
export function runClient(
  command: string,
  args: readonly string[],
  { home, cwd = home, env = {}, input = "" }: ClientOptions,
): Promise<ClientOutcome> {
  const program = path.isAbsolute(command) ? command : findCommand(command)!;
  const { PATH = "" } = process.env;
  const child = spawn(program, args, {
    cwd,
    env: { PATH, HOME: home, LANG: "C.UTF-8", ...env },
    timeout: MS_MAX,
    killSignal: "SIGKILL",
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  // It may end without having read it all.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
  });
}
