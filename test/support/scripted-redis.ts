// A server that speaks RESP and answers as the test says: for what a real Redis cannot be made to do at a given moment.

import { once } from "node:events";
import net from "node:net";

export class ScriptedRedis {
  readonly server: net.Server;
  /** What each read had in it. */
  readonly reads: string[][][] = [];
  readonly sockets = new Set<net.Socket>();
  /** RESP for a command; null: nothing is said. */
  answer: (command: readonly string[]) => string | null = answerAsUsual;

  private constructor(server: net.Server) {
    this.server = server;
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      let rest = "";
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      socket.setEncoding("latin1").on("data", (text: string) => {
        const { commands, left } = parse(rest + text);
        rest = left;
        this.reads.push(commands);
        const answers = commands.map((command) => this.answer(command)).filter((answer) => answer !== null);
        // In one write, so that they arrive in one read.
        if (answers.length > 0) socket.write(answers.join(""), "latin1");
      });
    });
  }

  static async start(): Promise<ScriptedRedis> {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ScriptedRedis(server);
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

/** Tracking is on, and there is nothing. */
export function answerAsUsual(command: readonly string[]): string {
  if (command[0] === "HELLO") return "%1\r\n$5\r\nproto\r\n:3\r\n";
  if (command[0] === "GET") return "_\r\n";
  if (command[0] === "PTTL") return ":-2\r\n";
  return "+OK\r\n";
}

export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** What a server pushes when a key has changed. */
export function invalidation(key: string): string {
  return `>2\r\n${bulk("invalidate")}*1\r\n${bulk(key)}`;
}

function parse(text: string): { commands: string[][]; left: string } {
  const commands: string[][] = [];
  let at = 0;
  for (;;) {
    const head = /^\*(\d+)\r\n/.exec(text.slice(at));
    if (head === null) return { commands, left: text.slice(at) };
    let next = at + head[0].length;
    const command: string[] = [];
    for (let count = Number(head[1]); count > 0; count--) {
      const length = /^\$(\d+)\r\n/.exec(text.slice(next));
      if (length === null) return { commands, left: text.slice(at) };
      const start = next + length[0].length;
      next = start + Number(length[1]) + 2;
      if (next > text.length) return { commands, left: text.slice(at) };
      command.push(text.slice(start, next - 2));
    }
    commands.push(command);
    at = next;
  }
}
