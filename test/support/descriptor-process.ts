// Runs descriptor-listener.ts on a socket that was bound here, and is closed here once that process has it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Address } from "../../src/core/ports.ts";

const PROGRAM = path.join(import.meta.dirname, "descriptor-listener.ts");

export class DescriptorProcess {
  readonly address: Address;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, address: Address) {
    this.#child = child;
    this.#lines = lines;
    this.address = address;
  }

  /** On 127.0.0.1, or on a unix socket, whose file is left for the caller to remove. */
  static async start(socketPath: string | null, ...args: string[]): Promise<DescriptorProcess> {
    const server = net.createServer();
    server.listen(socketPath === null ? { host: "127.0.0.1", port: 0 } : { path: socketPath });
    await once(server, "listening");
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
    const child = spawn(process.execPath, [PROGRAM, socketPath ?? "", ...args], {
      stdio: ["pipe", "pipe", "inherit", fd, fd],
    });
    closeAndKeepFile(server, socketPath);
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const { value } = await lines.next();
    return new DescriptorProcess(child, lines, JSON.parse(value as string) as Address);
  }

  /** Everything that one client is told. */
  async greeting(): Promise<string> {
    const { family, address, port } = this.address;
    const socket = net.connect(family === 0 ? { path: address } : { host: address, port });
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  /** Closes the listener; whether the descriptor is still open afterwards. */
  async close(): Promise<boolean> {
    this.#child.stdin!.end();
    const { value } = await this.#lines.next();
    return value === "open";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

/** Node removes the file of a unix socket that it closes, if it finds it. */
function closeAndKeepFile(server: net.Server, socketPath: string | null): void {
  if (socketPath === null) {
    server.close();
    return;
  }
  const aside = `${socketPath}.aside`;
  renameSync(socketPath, aside);
  server.close();
  renameSync(aside, socketPath);
}
