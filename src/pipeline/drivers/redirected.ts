/**
 * A client whose traffic the system has redirected here: it speaks with its origin, as far as it knows. The first byte decides: what
 * begins as TLS becomes one exchange that asks for a tunnel as CONNECT does (tunnel-client.ts), to where it was headed, so that rules,
 * limits, interception and the log are the same; anything else is served as HTTP/1 (http1-client.ts), all of it to one place. Nothing
 * is answered here: a tunnel begins with the bytes of its origin, and what is refused is closed.
 *
 *     OPENING --not TLS--> HANDED: it is an HTTP/1 client
 *        +--ClientHello--> WAIT
 *
 * Who came directly was not redirected: there is nowhere to go but here, in a circle, so it is refused.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Address } from "../../core/ports.ts";
import { clientHelloError } from "../../protocol/client-hello/errors.ts";
import { ClientHello, parseClientHello } from "../../protocol/client-hello/parse.ts";
import { hostOf } from "../../semantics/uri.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import { HANDED, OPENING, TunnelClient } from "./tunnel-client.ts";

/** The first byte of TLS: a record of the handshake (RFC 8446, section 5.1). No method of HTTP begins with it. */
const TLS_HANDSHAKE = 0x16;

/** What somebody reads who has opened this address in a browser, or has named it as a proxy. */
const ANSWER_TO_DIRECT = Buffer.from(
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
    "This address takes traffic that a firewall redirects to it, and nothing else.\n",
);

/** Used up before the next one is read: one serves the whole thread. */
const hello = new ClientHello();

export class ClientRedirected extends TunnelClient {
  /** Known from the ClientHello on. */
  origin: ConnectionOrigin | null = null;
  protocol = "TLS";

  protected get lateness(): string {
    return "the ClientHello did not arrive in time";
  }

  protected read(): void {
    if (this.state !== OPENING) return;
    const { bytes, start, end } = this.ahead;
    const isTls = bytes[start] === TLS_HANDSHAKE;
    const meant = this.connection.originalDestination ?? null;
    if (meant === null) {
      if (!isTls) this.protocol = "HTTP/1.1";
      const message = "the connection was not redirected here, and a transparent address takes no other";
      const error = new ProxyError("http_request_error", message, { side: "client" });
      return this.refuse(error, isTls ? null : ANSWER_TO_DIRECT);
    }
    if (!isTls) return this.#handToHttp(meant);
    const found = parseClientHello(bytes, start, end, hello);
    if (found < 0) return this.refuse(clientHelloError(found), null);
    if (found > 0) this.#askFor(meant, hello.serverName);
  }

  #handToHttp({ address, port }: Address): void {
    const first = this.handOver();
    const { connection } = this;
    this.driver.accept(connection, this.#originOf("http", null, null, { address, port }));
    this.driver.forget(this);
    connection.handler.onBytes(first, 0, first.length);
  }

  /** The ClientHello is complete. What else comes waits for the tunnel. */
  #askFor({ address, port }: Address, serverName: string | null): void {
    this.connection.pause();
    const host = serverName === null ? null : hostOf(serverName);
    this.origin = this.#originOf("tunnel", host, serverName, { address, port });
    this.askForTunnel(host ?? address, port, "https");
  }

  #originOf(
    kind: "tunnel" | "http",
    host: string | null,
    serverName: string | null,
    { address, port }: Pick<Address, "address" | "port">,
  ): ConnectionOrigin {
    const clientAddress = this.connection.remote.address;
    return { kind, host, port, address, serverName, user: null, clientAddress, upstream: null };
  }

  /** A client that knows of no proxy gets no answer of one. */
  protected answer(): void {}

  end(): void {
    // Nothing of the answer was sent, and the log is to say so.
    this.life!.responseBodyBytes = 0;
  }

  /** Whoever has taken the connection over may have more to close than that. */
  override destroy(error: ProxyError): void {
    if (this.state === HANDED && this.life !== null) return this.life.fail(error);
    super.destroy(error);
  }
}
