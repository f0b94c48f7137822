// HAProxy from the system in front of the proxy under test: a real sender of PROXY headers, started for one test.

import { writeFileSync } from "node:fs";
import net from "node:net";
import { TestFolder } from "./folder.ts";
import { freePort } from "./free-port.ts";
import { Program } from "./program.ts";
import { findCommand } from "./requirements.ts";

export class Haproxy {
  readonly ports: readonly number[];
  readonly #folder: TestFolder;
  readonly #program: Program;

  private constructor(ports: readonly number[], folder: TestFolder, program: Program) {
    this.ports = ports;
    this.#folder = folder;
    this.#program = program;
  }

  /**
   * Listens on a port for each of `servers`, which are "ADDRESS OPTIONS" as in "127.0.0.1:80 send-proxy". The test must have
   * asked for `needs("haproxy")`.
   */
  static async start(servers: readonly string[]): Promise<Haproxy> {
    const ports: number[] = [];
    for (const _ of servers) ports.push(await freePort());
    const folder = new TestFolder();
    const sections = servers.map(
      (server, index) => `listen l${index}\n  bind 127.0.0.1:${ports[index]}\n  server s ${server}\n`,
    );
    const stats = folder.file("stats.sock");
    const times = ["connect", "client", "server"].map((name) => `  timeout ${name} 20s\n`).join("");
    const file = folder.file("haproxy.cfg");
    writeFileSync(file, `global\n  stats socket ${stats}\ndefaults\n  mode tcp\n${times}${sections.join("")}`);
    const program = Program.command(findCommand("haproxy")!, ["-db", "-f", file]);
    const haproxy = new Haproxy(ports, folder, program);
    // A connection to a port would be one to the proxy behind it, which logs and counts what comes.
    let isServing = false;
    while (!isServing) {
      if (program.child.exitCode !== null) throw new Error(`HAProxy ended, having said:\n${program.output}`);
      isServing = await answers(stats);
    }
    return haproxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop("SIGTERM");
    this.#folder[Symbol.dispose]();
  }
}

/** It serves commands once it listens everywhere. */
async function answers(stats: string): Promise<boolean> {
  const socket = net.connect(stats, () => socket.write("show info\n"));
  let text = "";
  try {
    for await (const chunk of socket) text += String(chunk);
  } catch {
    // It is not there yet.
  }
  return text.includes("\nUptime: ");
}
