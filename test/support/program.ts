// A program in a process of its own: started, read line by line, ended. What it wrote is in the message of what fails.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

export const repositoryRoot = path.dirname(path.dirname(import.meta.dirname));

/** From source: the package's own name leads to src. */
const NODE_OPTIONS = ["--conditions=headgate-source", "--disable-sigusr1"];

export interface ProgramOptions {
  /** Besides those of the test's own process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export class Program {
  readonly child: ChildProcess;
  /** Both outputs, in the order in which they came. */
  output = "";
  #exited = false;
  #changed = Promise.withResolvers<void>();

  private constructor(command: string, args: readonly string[], { env = {}, cwd = repositoryRoot }: ProgramOptions) {
    // A runtime folder of its own, so that no program meets the admin socket of another one.
    const runtime = mkdtempSync(path.join(os.tmpdir(), "headgate-run-"));
    const environment = { ...process.env, XDG_RUNTIME_DIR: runtime, ...env };
    this.child = spawn(command, args, { cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#wake();
      });
    }
    this.child.once("close", () => {
      rmSync(runtime, { recursive: true, force: true });
      this.#exited = true;
      this.#wake();
    });
    this.child.once("error", (error) => {
      this.#exited = true;
      this.output += String(error);
      this.#wake();
    });
  }

  /** A file of the repository, run by the Node that runs the tests. */
  static node(file: string, args: readonly string[] = [], options: ProgramOptions = {}): Program {
    return new Program(process.execPath, [...NODE_OPTIONS, path.join(repositoryRoot, file), ...args], options);
  }

  /** The command `headgate`, from source. */
  static headgate(args: readonly string[], options: ProgramOptions = {}): Program {
    return Program.node("src/cli/main.ts", args, options);
  }

  static command(command: string, args: readonly string[], options: ProgramOptions = {}): Program {
    return new Program(command, args, options);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** What the output says; rejects when the program ends before. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found;
      if (this.#exited) throw new Error(`ended before ${pattern}, having said:\n${this.output}`);
      await this.#changed.promise;
    }
  }

  /** Its status, or the signal that ended it. */
  async exit(): Promise<number | NodeJS.Signals> {
    while (!this.#exited) await this.#changed.promise;
    return this.child.exitCode ?? this.child.signalCode ?? -1;
  }

  /** Asks it to end, and waits until it has. */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | NodeJS.Signals> {
    if (!this.#exited) this.child.kill(signal);
    return this.exit();
  }

  /** Ends it without asking. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
