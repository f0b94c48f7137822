/**
 * The least client of Redis that can read keys: GET, one connection, replies in the order of the questions (RESP2). It is for
 * the bench alone: it does not connect again, and an error of the server fails every question that waits.
 */
import { connect, type Socket } from "node:net";

interface Question {
  readonly resolve: (value: string | null) => void;
  readonly reject: (error: Error) => void;
}

export class RedisReader {
  readonly #socket: Socket;
  /** Asked and not yet answered, the oldest first. */
  readonly #questions: Question[] = [];
  #received: Buffer = Buffer.alloc(0);

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes: Buffer) => this.#take(bytes));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("Redis closed the connection")));
  }

  get(key: string): Promise<string | null> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ resolve, reject });
      this.#socket.write(`*2\r\n$3\r\nGET\r\n$${Buffer.byteLength(key)}\r\n${key}\r\n`);
    });
  }

  #take(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    let at = 0;
    for (;;) {
      const lineEnd = this.#received.indexOf("\r\n", at);
      if (lineEnd === -1) break;
      const line = this.#received.toString("latin1", at, lineEnd);
      if (!line.startsWith("$")) {
        this.#fail(new Error(`Redis answered: ${line}`));
        return;
      }
      const length = Number(line.slice(1));
      const start = lineEnd + 2;
      if (length >= 0 && this.#received.length < start + length + 2) break;
      this.#questions.shift()?.resolve(length < 0 ? null : this.#received.toString("utf8", start, start + length));
      at = length < 0 ? start : start + length + 2;
    }
    this.#received = this.#received.subarray(at);
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    for (const { reject } of this.#questions.splice(0)) reject(error);
  }
}
