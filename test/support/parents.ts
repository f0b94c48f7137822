// Proxies of somebody else for tests to go through: scripted ones, that answer as a test says, and a SOCKS server that takes every
// name for this machine.

import net from "node:net";
import tls from "node:tls";
import { type SocksAuthentication, SocksServer } from "../../src/protocol/socks/server.ts";

/** Called whenever something has come; `received` is all that came on this connection, as latin1. */
export type ParentScript = (socket: net.Socket, received: string) => void;

abstract class TestParent {
  readonly server: net.Server;
  readonly sockets = new Set<net.Socket>();
  /** Connections that were ever made. */
  accepted = 0;
  #changed = Promise.withResolvers<void>();

  protected constructor(options: tls.TlsOptions | null) {
    const take = (socket: net.Socket): void => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.sockets.delete(socket);
        this.wake();
      });
      this.serve(socket);
      this.wake();
    };
    this.server = options === null ? net.createServer(take) : tls.createServer(options, take);
  }

  protected abstract serve(socket: net.Socket): void;

  protected wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  /** Looked at whenever a connection comes or goes, or bytes arrive. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.#changed.promise;
  }

  protected async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

export class ScriptedParent extends TestParent {
  /** What came on each connection, in the order in which they were made. */
  readonly received: string[] = [];
  readonly #script: ParentScript;

  private constructor(script: ParentScript, options: tls.TlsOptions | null) {
    super(options);
    this.#script = script;
  }

  static async start(script: ParentScript, options: tls.TlsOptions | null = null): Promise<ScriptedParent> {
    return await new ScriptedParent(script, options).listen();
  }

  protected serve(socket: net.Socket): void {
    const index = this.received.push("") - 1;
    socket.on("data", (bytes: Buffer) => {
      this.received[index] += bytes.toString("latin1");
      this.wake();
      this.#script(socket, this.received[index]!);
    });
  }

  url(login = ""): string {
    const scheme = this.server instanceof tls.Server ? "https" : "http";
    return `${scheme}://${login === "" ? "" : `${login}@`}127.0.0.1:${this.port}`;
  }
}

/** Answers CONNECT with a tunnel to that port of this machine, whatever was asked for; `head` is what it says. */
export function tunnelTo(port: number, head = "HTTP/1.1 200 Connection established\r\n\r\n"): ParentScript {
  return onceHead((socket) => {
    const origin = net.connect(port, "127.0.0.1");
    origin.on("error", () => socket.destroy());
    socket.on("close", () => origin.destroy());
    origin.on("connect", () => {
      socket.write(head);
      socket.pipe(origin);
      origin.pipe(socket);
    });
  });
}

/** Called once for each connection, when its first head is complete. */
export function onceHead(answer: (socket: net.Socket, head: string) => void): ParentScript {
  const answered = new WeakSet<net.Socket>();
  return (socket, received) => {
    if (answered.has(socket) || !received.includes("\r\n\r\n")) return;
    answered.add(socket);
    answer(socket, received);
  };
}

/** Says this to whatever is asked, and ends when `isEnd`. */
export function answersWith(text: string, isEnd = false): ParentScript {
  return onceHead((socket) => {
    socket.write(Buffer.from(text, "latin1"));
    if (isEnd) socket.end();
  });
}

export interface SocksParentOptions {
  readonly authentication?: SocksAuthentication;
  readonly password?: string;
}

/** Names lead to this machine. */
export class SocksParent extends TestParent {
  /** What was asked for: "a.example:80". */
  readonly asked: string[] = [];
  readonly users: (string | null)[] = [];
  readonly #options: SocksParentOptions;

  private constructor(options: SocksParentOptions) {
    super(null);
    this.#options = options;
  }

  static async start(options: SocksParentOptions = {}): Promise<SocksParent> {
    return await new SocksParent(options).listen();
  }

  url(login = ""): string {
    return `socks5://${login === "" ? "" : `${login}@`}127.0.0.1:${this.port}`;
  }

  protected serve(socket: net.Socket): void {
    const server = new SocksServer(this.#options.authentication ?? "none");
    let held = Buffer.alloc(0);
    const onData = (bytes: Buffer): void => {
      held = Buffer.concat([held, bytes]);
      for (;;) {
        const used = server.receive(held, 0, held.length);
        if (used < 0) {
          const refusal = server.refusal(used);
          if (refusal !== null) socket.write(refusal);
          socket.end();
          return;
        }
        if (used === 0) return;
        held = held.subarray(used);
        if (server.toSend !== null) socket.write(server.toSend);
        if (server.state === "verdict") {
          socket.write(server.verdict(server.password!.toString() === (this.#options.password ?? "")));
        } else if (server.state === "answer") {
          socket.off("data", onData);
          this.#connect(socket, server, held);
          return;
        }
      }
    };
    socket.on("data", onData);
  }

  #connect(socket: net.Socket, server: SocksServer, held: Buffer): void {
    this.asked.push(server.authority);
    this.users.push(server.user);
    const origin = net.connect(server.port, "127.0.0.1");
    origin.on("error", () => socket.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])));
    socket.on("close", () => origin.destroy());
    origin.on("connect", () => {
      socket.write(server.granted(null));
      origin.write(held);
      socket.pipe(origin);
      origin.pipe(socket);
    });
  }
}
