// The command as a process: started from its source by the Node that runs the tests, watched line by line, and ended
// behind the test.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const COMMAND = path.join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

/** Without what would change what the command says. */
const ENVIRONMENT = {
  ...process.env,
  HEADGATE_DEBUG: undefined,
  NODE_OPTIONS: undefined,
  NO_COLOR: "1",
};

/** The folder is the user's runtime folder too, so that no test meets the admin socket of another one. */
function environmentIn(folder: string): NodeJS.ProcessEnv {
  return { ...ENVIRONMENT, XDG_RUNTIME_DIR: folder };
}

/** Far longer than anything here takes. */
const SILENCE_MS_MAX = 120_000;
const END_MS_MAX = 60_000;

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command that ends by itself. */
export function headgate(folder: string, ...args: readonly string[]): Outcome {
  return headgateWith({}, folder, ...args);
}

/** The same with further variables of the environment. */
export function headgateWith(
  environment: Readonly<Record<string, string>>,
  folder: string,
  ...args: readonly string[]
): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], {
    cwd: folder,
    env: { ...environmentIn(folder), ...environment },
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, stdout, stderr };
}

/** A folder for one test, with files in it. */
export class Folder {
  readonly path = mkdtempSync(path.join(os.tmpdir(), "headgate-cli-"));

  /** The absolute path of a file, written when there is a text. */
  file(name: string, text?: string): string {
    const file = path.join(this.path, name);
    if (text !== undefined) writeFileSync(file, text);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

interface Entry {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
}

/** A command that serves until it is told to stop. */
export class Running {
  readonly process: ChildProcess;
  stdout = "";
  stderr = "";
  /** Where `untilLogged` looks on. */
  #told = 0;
  #exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  #isOver = false;
  #changed = Promise.withResolvers<void>();

  private constructor(
    environment: Readonly<Record<string, string>>,
    folder: string,
    args: readonly string[],
    program = COMMAND,
    descriptors: number | null = null,
  ) {
    const limit = descriptors === null ? [] : ["sh", "-c", `ulimit -n ${descriptors}; exec "$0" "$@"`];
    const [command = "", ...rest] = [...limit, process.execPath, program, ...args];
    this.process = spawn(command, rest, {
      cwd: folder,
      env: { ...environmentIn(folder), ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    this.#exited = once(this.process, "close").then(([code, signal]) => {
      this.#isOver = true;
      this.#wake();
      return [code as number | null, signal as NodeJS.Signals | null] as const;
    });
  }

  /** Starts, and waits for the line that says what listens where. */
  static start(folder: string, ...args: readonly string[]): Promise<Running> {
    return Running.startWith({}, folder, ...args);
  }

  /** The same with further variables of the environment. */
  static startWith(
    environment: Readonly<Record<string, string>>,
    folder: string,
    ...args: readonly string[]
  ): Promise<Running> {
    return Running.#started(new Running(environment, folder, args));
  }

  /** The same with no more file descriptors than that. */
  static startLimited(descriptors: number, folder: string, ...args: readonly string[]): Promise<Running> {
    return Running.#started(new Running({}, folder, args, COMMAND, descriptors));
  }

  /** Another program than the command, which serves as it does. */
  static startProgram(program: string, folder: string): Promise<Running> {
    return Running.#started(new Running({}, folder, [], program));
  }

  static async #started(running: Running): Promise<Running> {
    await running.untilLogged(/^headgate \d/);
    return running;
  }

  /** The entries of the application log. */
  get entries(): readonly Entry[] {
    const whole = this.stderr.slice(0, this.stderr.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Entry);
  }

  /** Waits for the next entry, behind the one that the last call gave. */
  async untilLogged(message: RegExp): Promise<Entry> {
    const next = () => this.entries.findIndex(({ msg }, at) => at >= this.#told && message.test(msg));
    await this.#until(() => next() >= 0, String(message));
    this.#told = next() + 1;
    return this.entries[this.#told - 1]!;
  }

  async untilStdout(isDone: (text: string) => boolean): Promise<string> {
    await this.#until(() => isDone(this.stdout), "the end of its output");
    return this.stdout;
  }

  /** Fails with what it said when it ends before, or keeps silent for too long. */
  async #until(isDone: () => boolean, what: string): Promise<void> {
    const timeout = AbortSignal.timeout(SILENCE_MS_MAX);
    const silence = once(timeout, "abort");
    while (!isDone()) {
      if (this.#isOver || timeout.aborted) throw new Error(`no ${what}; it said: ${this.stderr}${this.stdout}`);
      await Promise.race([this.#changed.promise, silence]);
    }
  }

  /** The port of 127.0.0.1 that the start-up line names for a server. */
  port(server: string): number {
    const line = this.entries.find(({ msg }) => /^headgate \d/.test(msg))?.msg ?? "";
    const port = new RegExp(`[:;] ${server} on https?://127\\.0\\.0\\.1:(\\d+)`).exec(line)?.[1];
    assert.ok(port !== undefined, `no port of ${server} in: ${line}`);
    return Number(port);
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** The status, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    const [code, signal] = await this.#exited;
    return code ?? signal;
  }

  /** Ends it as an operator would; it must take that well. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.signal("SIGTERM");
    this.signal("SIGINT");
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      this.signal("SIGKILL");
    }, END_MS_MAX);
    await this.#exited;
    clearTimeout(deadline);
    if (isLate) throw new Error(`it did not end when it was told to; it said: ${this.stderr}`);
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
