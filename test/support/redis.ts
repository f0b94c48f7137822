// Redis from the system: servers with a folder of their own, on a free port, gone behind the test.

import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createClient } from "redis";
import { freePort } from "./free-port.ts";
import { Program } from "./program.ts";
import { findCommand } from "./requirements.ts";

/** Where the servers of a cluster speak to each other: so far above the port of each. */
const BUS_DISTANCE = 10_000;

export interface RedisServerOptions {
  /** Further arguments, such as "--requirepass", "secret". "PORT" and "FOLDER" in them are replaced. */
  readonly args?: readonly string[];
  /** What it has is there again after a restart. */
  readonly isDurable?: boolean;
  /** TLS only, on the same port. */
  readonly isTls?: boolean;
  /** One of a cluster, which it has not joined yet. */
  readonly isOfCluster?: boolean;
}

export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #args: readonly string[];
  #program: Program | null = null;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.folder = folder;
    this.#args = args;
  }

  /** The test must have asked for `needs("redis-server")`. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const { args = [], isDurable = false, isTls = false, isOfCluster = false } = options;
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-redis-"));
    const port = await freePort(isOfCluster ? BUS_DISTANCE : 0);
    const ports = isTls ? ["--port", "0", "--tls-port", String(port)] : ["--port", String(port)];
    const disk = isDurable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    const cluster = isOfCluster ? ["--cluster-enabled", "yes"] : [];
    const own = ["--bind", "127.0.0.1", ...ports, "--dir", folder, "--save", "", ...disk, ...cluster];
    const given = args.map((arg) => arg.replace("FOLDER", folder).replace("PORT", String(port)));
    const server = new RedisServer(port, folder, [...given, ...own]);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#program!.pid;
  }

  /** Starts it anew, as it was started before. */
  async restart(): Promise<void> {
    await this.stop();
    const command = findCommand("redis-server");
    if (command === null) throw new Error("there is no redis-server");
    const program = Program.command(command, [...this.#args]);
    this.#program = program;
    await program.until(/Ready to accept connections|\+monitor/);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const program = this.#program;
    if (program === null) return;
    // One that is stopped by SIGSTOP does not hear anything else.
    program.child.kill("SIGCONT");
    this.#program = null;
    await program.stop(signal);
  }

  /** It does not run any more, and its connections stay. */
  freeze(): void {
    this.#program!.child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#program!.child.kill("SIGCONT");
  }

  /** A connection of the test's own, by the library as it is. */
  async client(url: string = this.url) {
    const client = createClient({ url, socket: { reconnectStrategy: false } });
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  /** One command on a connection of its own. */
  async run(...command: string[]): Promise<unknown> {
    const client = await this.client();
    try {
      return await client.sendCommand(command);
    } finally {
      client.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Three masters with all slots between them, without replicas. */
export async function startCluster(): Promise<readonly RedisServer[]> {
  const args = ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
  const servers: RedisServer[] = [];
  for (let index = 0; index < 3; index++) servers.push(await RedisServer.start({ args, isOfCluster: true }));
  const bounds = [0, 5461, 10_923, 16_384];
  for (const [index, server] of servers.entries()) {
    await server.run("CLUSTER", "ADDSLOTSRANGE", String(bounds[index]), String(bounds[index + 1]! - 1));
    await server.run("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
    if (index > 0) await servers[0]!.run("CLUSTER", "MEET", "127.0.0.1", String(server.port));
  }
  for (const server of servers) {
    await until(async () => {
      const info = String(await server.run("CLUSTER", "INFO"));
      return info.includes("cluster_state:ok") && info.includes("cluster_slots_ok:16384");
    });
  }
  // One that stands still for a while is not down to the others, which would then serve nobody.
  for (const server of servers) await server.run("CONFIG", "SET", "cluster-node-timeout", "120000");
  return servers;
}

/** Asks again and again until it holds. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
