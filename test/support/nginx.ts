// nginx from the system as an origin: started with a configuration of its own in a folder of its own, gone behind the test.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { freePort } from "./free-port.ts";
import { Program } from "./program.ts";
import { findCommand } from "./requirements.ts";

export class Nginx {
  readonly port: number;
  /** Where it finds the files that it serves. */
  readonly folder: string;
  readonly #program: Program;

  private constructor(port: number, folder: string, program: Program) {
    this.port = port;
    this.folder = folder;
    this.#program = program;
  }

  /**
   * `server` is what stands in the server block; `files` are served from "/". One worker; a killed one is replaced. The test must
   * have asked for `needs("nginx")`.
   */
  static async start(server: string, files: Readonly<Record<string, Uint8Array | string>> = {}): Promise<Nginx> {
    const command = findCommand("nginx");
    if (command === null) throw new Error("there is no nginx");
    const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-nginx-"));
    for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
    const port = await freePort();
    writeFileSync(path.join(folder, "nginx.conf"), configuration(port, folder, server));
    const program = Program.command(command, ["-p", folder, "-c", path.join(folder, "nginx.conf")]);
    const nginx = new Nginx(port, folder, program);
    try {
      await program.until(/start worker process \d+/);
    } catch (error) {
      await nginx[Symbol.asyncDispose]();
      throw error;
    }
    return nginx;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The process that serves; its master starts another one when it dies. */
  get workerPid(): number {
    const { pid } = this.#program;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ")[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its workers end with it.
    await this.#program.stop("SIGTERM");
    rmSync(this.folder, { recursive: true });
  }
}

function configuration(port: number, folder: string, server: string): string {
  // A master of root's has workers of somebody else's, who may not read the folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  return `
    ${user}
    daemon off;
    worker_processes 1;
    error_log stderr notice;
    pid ${folder}/pid;
    events { worker_connections 1024; }
    http {
      access_log off;
      default_type application/octet-stream;
      ${temporary.join("\n")}
      server {
        listen 127.0.0.1:${port};
        root ${folder};
        add_header X-Connection $connection always;
        ${server}
      }
    }
  `;
}
