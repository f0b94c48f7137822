// Somebody else's server on a free port, for a proxy to be mounted in. It is gone behind the test, with the proxy.

import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { EmbeddedProxy } from "../../src/index.ts";

export class HostServer {
  readonly server: http.Server;
  readonly #proxy: EmbeddedProxy;
  readonly #sockets = new Set<Socket>();

  private constructor(server: http.Server, proxy: EmbeddedProxy) {
    this.server = server;
    this.#proxy = proxy;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** `handler` is what a framework gives: a function of a request and a response, or its own server. */
  static async start(handler: http.RequestListener | http.Server, proxy: EmbeddedProxy): Promise<HostServer> {
    const host = new HostServer(handler instanceof http.Server ? handler : http.createServer(handler), proxy);
    await new Promise<void>((resolve) => host.server.listen(0, "127.0.0.1", resolve));
    return host;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.#proxy.close({ timeoutMs: 0 });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
