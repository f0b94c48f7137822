/**
 * The processes that the bench starts. Each is pinned to processors, each is known by its id, and each is ended by it: at
 * the end of a scenario, after an error, and when the bench itself is told to stop. Nothing is ever ended by name.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** How long a process may take to end after SIGTERM before it and its own children are killed. */
const END_MS_MAX = 5_000;
/** Of what a process says only the end is kept: it is where the reason of a failure stands. */
const OUTPUT_CHARACTERS_MAX = 64 * 1024;

export interface StartOptions {
  /** Processors as taskset names them: "0", "0,1". */
  readonly cpus: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A file descriptor for its standard output; by default the output is kept in memory. */
  readonly stdout?: number;
}

export class Child {
  readonly process: ChildProcess;
  /** What it wrote, or the end of it. */
  stdout = "";
  stderr = "";
  readonly exited: Promise<void>;

  constructor(command: readonly string[], { cpus, env = {}, stdout }: StartOptions) {
    // Should the bench be killed, the kernel asks its children to end.
    this.process = spawn("setpriv", ["--pdeathsig", "TERM", "taskset", "-c", cpus, ...command], {
      stdio: ["ignore", stdout ?? "pipe", "pipe"],
      env: { ...process.env, ...env },
      // In a process group of its own, which is known by the same id.
      detached: true,
    });
    // What it leaves behind, as when a master was killed, would hold its output open and the processor busy.
    this.process.once("exit", () => kill(-this.pid));
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout = (this.stdout + text).slice(-OUTPUT_CHARACTERS_MAX);
    });
    this.process.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-OUTPUT_CHARACTERS_MAX);
    });
    this.exited = new Promise((resolve) => {
      this.process.once("close", () => resolve());
      this.process.once("error", (error) => {
        this.stderr += String(error);
        resolve();
      });
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get running(): boolean {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Why it ended, as far as it said: the last line that speaks of an error, or else the last one. */
  get lastLine(): string {
    const lines = (this.stderr.trim() || this.stdout.trim()).split("\n");
    const said = (lines.findLast((line) => /error\b/i.test(line)) ?? lines.at(-1) ?? "").trim();
    if (said !== "" || this.running) return said;
    const { signalCode, exitCode } = this.process;
    return signalCode === null ? `it ended with status ${exitCode}` : `it was ended by ${signalCode}`;
  }

  async end(): Promise<void> {
    if (!this.running) return;
    const family = familyOf(this.pid);
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => {
      for (const pid of family) kill(pid);
    }, END_MS_MAX);
    await this.exited;
    clearTimeout(timer);
  }
}

/** A negative id is that of a process group. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/** A process and all that descend from it. One that ends while we look is left out. */
export function familyOf(pid: number): number[] {
  const pids = [pid];
  let tasks: string[];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  for (const task of tasks) {
    try {
      const list = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
      for (const child of list === "" ? [] : list.split(" ")) pids.push(...familyOf(Number(child)));
    } catch {
      // A thread that ended.
    }
  }
  return pids;
}

export class Children {
  readonly #running = new Set<Child>();
  /** No child may be started any more. */
  closed = false;

  /** Throws after `close`, so that nothing is started while all is being ended. */
  start(command: readonly string[], options: StartOptions): Child {
    if (this.closed) throw new Error("interrupted");
    const child = new Child(command, options);
    this.#running.add(child);
    child.exited.then(() => this.#running.delete(child));
    return child;
  }

  /** Runs a command to its end and gives what it wrote to its standard output. Rejects when it fails or takes too long. */
  async run(command: readonly string[], options: StartOptions & { msMax: number }): Promise<string> {
    const child = this.start(command, options);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.end();
    }, options.msMax);
    await child.exited;
    clearTimeout(timer);
    if (late) throw new Error(`${command[0]} took longer than ${options.msMax / 1000} s: ${child.lastLine}`);
    if (child.process.exitCode !== 0) throw new Error(`${command[0]} failed: ${child.lastLine}`);
    return child.stdout;
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => child.end()));
  }

  /** Ends all, and lets nothing be started any more. */
  async close(): Promise<void> {
    this.closed = true;
    await this.endAll();
  }
}
