// An origin for tests: a server of node:http on a free port that counts its connections, keeps what it was asked, and is
// gone behind the test.

import http from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";

export interface Asked {
  readonly method: string;
  readonly url: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly headers: http.IncomingHttpHeaders;
}

export interface OriginOptions {
  readonly tls?: https.ServerOptions;
  /** A unix socket in place of a port. */
  readonly path?: string;
  /** Default: none, so that a proxy's own limits decide. */
  readonly keepAliveTimeoutMs?: number;
}

export class Origin {
  readonly server: http.Server;
  readonly asked: Asked[] = [];
  readonly sockets = new Set<Socket>();
  /** Connections that were ever made. */
  accepted = 0;
  #changed = Promise.withResolvers<void>();

  private constructor(server: http.Server) {
    this.server = server;
    server.on("connection", (socket: Socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.sockets.delete(socket);
        this.#wake();
      });
      this.#wake();
    });
    // Not by a listener of its own: a server that listens to "upgrade" is one that upgrades.
    const emit = server.emit.bind(server);
    server.emit = (event: string, ...given: unknown[]) => {
      if (event === "request" || event === "upgrade" || event === "checkContinue") {
        this.#note(given[0] as http.IncomingMessage);
      }
      return emit(event, ...given);
    };
  }

  static async start(handler: http.RequestListener, options: OriginOptions = {}): Promise<Origin> {
    const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls);
    server.keepAliveTimeout = options.keepAliveTimeoutMs ?? 0;
    server.requestTimeout = server.headersTimeout = 0;
    const origin = new Origin(server as http.Server);
    server.on("request", handler);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      if (options.path === undefined) server.listen(0, "127.0.0.1", resolve);
      else server.listen(options.path, resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Looked at whenever a connection comes or goes, or a request arrives. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await this.#changed.promise;
  }

  #note(request: http.IncomingMessage): void {
    const { method = "", url = "", rawHeaders, headers } = request;
    this.asked.push({ method, url, rawHeaders, headers });
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** The whole body of a request, as latin1. Rejects when the client goes before its end. */
export async function bodyOf(request: http.IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += (chunk as Buffer).toString("latin1");
  return body;
}
