// The command as a process beside the test, which goes on: the proxy that it speaks to may be in the test itself.

import { spawn } from "node:child_process";
import path from "node:path";

const COMMAND = path.join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

export class CommandRun {
  stdout = "";
  stderr = "";
  /** The status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  #changed = Promise.withResolvers<void>();
  #isOver = false;

  /** `folder` is the current one, and the user's runtime folder. */
  constructor(folder: string, ...args: readonly string[]) {
    const env = {
      ...process.env,
      XDG_RUNTIME_DIR: folder,
      TMPDIR: folder,
      NO_COLOR: "1",
    };
    const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#isOver = true;
        this.#wake();
        resolve(code ?? signal);
      });
    });
  }

  async untilStdout(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stdout)) {
      if (this.#isOver) throw new Error(`ended before ${pattern}: ${this.stdout}${this.stderr}`);
      await this.#changed.promise;
    }
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}

export interface Outcome {
  readonly status: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that ends by itself. */
export async function run(folder: string, ...args: readonly string[]): Promise<Outcome> {
  const command = new CommandRun(folder, ...args);
  return { status: await command.ended, stdout: command.stdout, stderr: command.stderr };
}
