/**
 * The pipeline inside of somebody else's HTTP server: a request and a response of node:http (or of node:http2 by its
 * compatible interface) are one exchange. Express, Fastify, Vite and Connect hand over both and have nothing more to do.
 *
 * Node's parser has framed the request, and Node frames the answer and keeps the connection; everything else is the
 * pipeline's (node-http/mounted-exchange.ts). An upgrade takes the connection away from Node's server, so it is served
 * by the driver of HTTP/1.1.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import { ProxyError } from "../../core/errors.ts";
import type { Connection } from "../../core/ports.ts";
import type { Site } from "../site.ts";
import { Http1Driver } from "./http1.ts";
import { MountedExchange } from "./node-http/mounted-exchange.ts";
import { encodeReceivedHead, receivedLines } from "./node-http/received-head.ts";

export class NodeHttpDriver {
  readonly #getSite: () => Site;
  readonly #adoptSocket: (socket: Duplex) => Connection;
  readonly #exchanges = new Set<MountedExchange>();
  #upgrades: Http1Driver | null = null;

  /**
   * `getSite` is asked for each request. `adoptSocket` makes a connection of a socket that node:http gave away, and must
   * take over its errors at once.
   */
  constructor(getSite: () => Site, adoptSocket: (socket: Duplex) => Connection) {
    this.#getSite = getSite;
    this.#adoptSocket = adoptSocket;
  }

  /** Requests and upgraded connections that are not over. */
  get size(): number {
    return this.#exchanges.size + (this.#upgrades === null ? 0 : this.#upgrades.size);
  }

  /**
   * Serves a request; the answer always comes from the pipeline, and nothing is thrown for what a client or an upstream
   * does. The path is that of `request.url`: under a mount point, what the framework left of it, as with other middleware.
   *
   * Mount it before body parsers. A body that was read before must be in `request.body` (node-http/parsed-body.ts says what
   * becomes of it); Fastify's parsers keep it elsewhere, so put it there or remove them.
   *
   * @throws Error when the program has already begun to answer.
   */
  handle(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
    if (response.headersSent || response.writableEnded)
      throw new Error("the response was begun before the proxy got it");
    // The compatible interface of node:http2 has nearly all that is used; what differs is asked for where it does.
    const [mounted, answer] = [request as IncomingMessage, response as ServerResponse];
    const exchange = new MountedExchange(this.#getSite(), mounted, answer, (over) => this.#exchanges.delete(over));
    this.#exchanges.add(exchange);
    exchange.begin();
  }

  /**
   * Serves what a server's "upgrade" event gives. Whatever happens, the socket gets an HTTP answer and is closed, or
   * becomes a tunnel; `ahead` passes only after the upstream has agreed. After any answer but 101 the connection closes: it
   * has left the server that it came from, and no later request on it may pass that server by.
   */
  handleUpgrade(request: IncomingMessage, socket: Duplex, ahead: Buffer): void {
    // A socket that is gone tells nobody a second time.
    if (socket.destroyed) return;
    const site = this.#getSite();
    this.#upgrades ??= new Http1Driver(site);
    const upgrades = this.#upgrades;
    upgrades.site = site;
    // Says "Connection: close" in every answer, and reads no second request.
    upgrades.draining = true;
    if (announcesBody(request)) {
      // Node has taken a part of it, and which part differs from version to version. Where more of it is to come, `socket` is no socket, but
      // what will have the bytes behind it; an error that nobody listens to there would end the process.
      socket.on("error", () => {});
      request.on("error", () => {}).resume();
      const error = new ProxyError("http_request_error", "a request that asks for an upgrade has a body");
      upgrades.refuse(this.#adoptSocket(request.socket), error);
      return;
    }
    const connection = this.#adoptSocket(socket);
    upgrades.accept(connection);
    const bytes = Buffer.concat([encodeReceivedHead(request), ahead]);
    connection.handler.onBytes(bytes, 0, bytes.length);
  }

  /** Cuts every exchange and closes every upgraded connection; resolves when each of them is in the log. */
  async destroy(): Promise<void> {
    for (const exchange of this.#exchanges) exchange.destroy();
    const upgrades = this.#upgrades;
    // Those that a server which is not closed goes on to hand over are not waited for.
    this.#upgrades = null;
    upgrades?.destroy();
    await upgrades?.untilEmpty();
  }
}

function announcesBody(request: IncomingMessage): boolean {
  return receivedLines(request).some(([name, value]) => {
    const lower = name.toLowerCase();
    return lower === "transfer-encoding" || (lower === "content-length" && value !== "0");
  });
}
