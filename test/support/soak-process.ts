// The proxy as a process of its own, as an operator runs it: from a configuration file, on a port that the system chose. What
// the system says of it (memory, open files) is read from /proc, so this needs Linux.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Program } from "./program.ts";
import { untilTrue } from "./soak-wait.ts";

/** For the `skip` option of node:test. */
export const needsProc = process.platform !== "linux" && "skipped: needs Linux, whose /proc tells of a process";

type ConfigValue = Readonly<Record<string, unknown>>;

export class ProxyProcess {
  readonly program: Program;
  readonly port: number;
  readonly #folder: string;
  /** The one that listens, and those that its output goes to. */
  readonly #socketsAtStart: number;
  /** A test that is ended from outside takes it along. */
  readonly #onExit = (): void => void this.program.child.kill("SIGKILL");

  private constructor(program: Program, port: number, folder: string) {
    this.program = program;
    this.port = port;
    this.#folder = folder;
    this.#socketsAtStart = this.#sockets;
    process.on("exit", this.#onExit);
  }

  /**
   * Runs the command with one server, `web`; `server` is what the file says of it besides where it listens, `top` what stands beside
   * `servers`, by the folder of the file.
   */
  static async start(
    server: ConfigValue,
    workers: number | "auto" = 1,
    top: (folder: string) => ConfigValue = () => ({}),
  ): Promise<ProxyProcess> {
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-soak-"));
    writeConfig(folder, server, workers, top(folder));
    const program = Program.headgate(["run", "--config", configFile(folder)]);
    try {
      const [, port] = await program.until(/web on http:\/\/127\.0\.0\.1:(\d+)/);
      return new ProxyProcess(program, Number(port), folder);
    } catch (error) {
      await program[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  /** Another configuration in place of the first; it keeps listening where it does. */
  async reload(server: ConfigValue): Promise<void> {
    writeConfig(this.#folder, server);
    this.program.child.kill("SIGHUP");
    await this.program.until(/SIGHUP, loaded again/);
  }

  /** Resident memory now, in bytes. */
  get residentBytes(): number {
    return this.#status("VmRSS") * 1024;
  }

  /** Of that, what is no file's: not what the system keeps of files that are read or mapped. */
  get anonymousBytes(): number {
    return this.#status("RssAnon") * 1024;
  }

  /** The most that was ever resident, in bytes. */
  get residentBytesMax(): number {
    return this.#status("VmHWM") * 1024;
  }

  #status(name: string): number {
    const status = readFileSync(`/proc/${this.program.pid}/status`, "latin1");
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
  }

  /** Files and sockets of every kind that it holds. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.program.pid}/fd`).length;
  }

  /** Connections that it holds, of either side. */
  get connections(): number {
    return this.#sockets - this.#socketsAtStart;
  }

  untilConnections(count: number): Promise<void> {
    return untilTrue(
      () => this.connections === count,
      () => `the proxy holds ${this.connections} connections, not ${count}`,
    );
  }

  get #sockets(): number {
    const folder = `/proc/${this.program.pid}/fd`;
    return readdirSync(folder).filter((name) => isSocket(path.join(folder, name))).length;
  }

  /** Ends it as an operator does: it drains, and says nothing but that it ends. */
  async stop(): Promise<void> {
    assert.equal(await this.program.stop("SIGTERM"), 0, this.program.output);
    assert.doesNotMatch(this.program.output, /"level":"(warn|error|fatal)"|fault|unhandled/i);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#onExit);
    await this.program[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

const configFile = (folder: string) => path.join(folder, "headgate.json");

function writeConfig(folder: string, server: ConfigValue, workers: number | "auto" = 1, top: ConfigValue = {}): void {
  // One worker by default: what is measured of memory is that of one, which has warmed up, and not of another that has not.
  const servers = { web: { listen: "127.0.0.1:0", ...server } };
  const config = { workers, log: { access: "off" }, ...top, servers };
  writeFileSync(configFile(folder), JSON.stringify(config));
}

function isSocket(file: string): boolean {
  try {
    return readlinkSync(file).startsWith("socket:");
  } catch {
    // Closed since the folder was listed.
    return false;
  }
}
