// A forward proxy whose rules let its clients reach this machine, and what they want to reach.

import net from "node:net";
import { Origin } from "./origin.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { RawClient } from "./raw-client.ts";

type Options = Readonly<Record<string, unknown>>;

/** Everything on loopback, on every port. */
export const ANYWHERE = { networks: ["127.0.0.0/8", "::1"], ports: "1-65535", connectPorts: "1-65535" };

/** `forward` is the block; `more` stands beside it in the server. */
export async function forwardProxy(forward: Options = {}, more: Options = {}): Promise<ProxyUnderTest> {
  return await ProxyUnderTest.start(forwardConfig(forward, more));
}

export function forwardConfig(forward: Options = {}, more: Options = {}): Options {
  return { servers: { egress: { listen: "127.0.0.1:0", forward: { allow: [ANYWHERE], ...forward }, ...more } } };
}

/** A connection on which a tunnel to `authority` was asked for; gives the status of the answer. */
export async function connectThrough(
  port: number,
  authority: string,
  lines = "",
): Promise<{ readonly client: RawClient; readonly status: number }> {
  const client = await RawClient.connect(port);
  client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`);
  await client.untilText("\r\n\r\n");
  return { client, status: Number(client.received.slice(9, 12)) };
}

/** A server that sends back what it gets. */
export class EchoServer {
  readonly #server: net.Server;
  readonly sockets = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
      socket.pipe(socket);
    });
  }

  static async start(): Promise<EchoServer> {
    const server = net.createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new EchoServer(server);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

export { Origin, RawClient };
