// A server that listens and never accepts, because its process is stopped: the kernel takes connections until the backlog
// is full, and then no attempt is answered any more. It stands for a host that does not answer.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";

const SCRIPT = `
  const server = require("node:net").createServer();
  server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => console.log(server.address().port));
`;

/** More than a backlog of one holds. */
const FILLERS = 8;

export class DeafServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #fillers: net.Socket[] = [];

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<DeafServer> {
    const child = spawn(process.execPath, ["-e", SCRIPT], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const server = new DeafServer(child, Number(line.toString()));
    child.kill("SIGSTOP");
    await server.#fill();
    return server;
  }

  /** One connection succeeds; those that were begun with it fill the rest of the backlog. */
  async #fill(): Promise<void> {
    for (let count = 0; count < FILLERS; count++) {
      const socket = net.connect(this.port, "127.0.0.1");
      socket.on("error", () => {});
      this.#fillers.push(socket);
    }
    await once(this.#fillers[0]!, "connect");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#fillers) socket.destroy();
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
