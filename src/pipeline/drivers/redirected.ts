/**
 * A client whose traffic the system has redirected here: it speaks with its origin, as far as it knows. The first byte decides: what
 * begins as TLS becomes one exchange that asks for a tunnel as CONNECT does, to where it was headed, so that rules, limits,
 * interception and the log are the same; anything else is served as HTTP/1 (http1-client.ts), all of it to one place. Nothing is
 * answered here: a tunnel begins with the bytes of its origin, and what is refused is closed.
 *
 *     OPENING --not TLS--> HANDED: it is an HTTP/1 client
 *        |    --ClientHello--> WAIT --2xx--> HANDED: it belongs to the tunnel
 *        +--error, in any of them: LINGER until the peer has seen the end--> closed
 *
 * Who came directly was not redirected: there is nowhere to go but here, in a circle, so it is refused.
 */
import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { LINGER_BYTES_MAX, LINGER_TIMEOUT_MS } from "../../core/limits.ts";
import { RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Address, Connection, ConnectionHandler, TlsInfo } from "../../core/ports.ts";
import { clientHelloError } from "../../protocol/client-hello/errors.ts";
import { ClientHello, parseClientHello } from "../../protocol/client-hello/parse.ts";
import { hostOf } from "../../semantics/uri.ts";
import type { Downstream, TakenOver } from "../downstream.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import { Life } from "../life.ts";
import type { Site } from "../site.ts";
import type { ClientOwner, ServedClient } from "./http1-client.ts";

const OPENING = 0;
const WAIT = 1;
const LINGER = 2;
const HANDED = 3;
const CLOSED = 4;

/** The first byte of TLS: a record of the handshake (RFC 8446, section 5.1). No method of HTTP begins with it. */
const TLS_HANDSHAKE = 0x16;

/** What somebody reads who has opened this address in a browser, or has named it as a proxy. */
const ANSWER_TO_DIRECT = Buffer.from(
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
    "This address takes traffic that a firewall redirects to it, and nothing else.\n",
);

/** Used up before the next one is read: one serves the whole thread. */
const hello = new ClientHello();

export class ClientRedirected implements ConnectionHandler, Downstream, ServedClient {
  readonly connection: Connection;
  /** Known from the ClientHello on. */
  origin: ConnectionOrigin | null = null;
  readonly #driver: ClientOwner;
  /** The configuration that the connection's first bytes came under. */
  #site: Site;
  readonly #deadline: Deadline;
  #state = OPENING;
  #life: Life | null = null;
  /** Received and not yet used: a ClientHello in pieces, then all that is for the tunnel. */
  readonly #ahead = new ByteQueue();
  /** What is said to whom no exchange is for; null: nothing. */
  #farewell: Buffer | null = null;
  /** The client has ended its side. */
  #ended = false;
  #discarded = 0;

  constructor(driver: ClientOwner, connection: Connection) {
    this.#driver = driver;
    this.#site = driver.site;
    this.connection = connection;
    this.#deadline = new Deadline(this.#site.deadlines, () => this.#onDeadline());
    this.#deadline.arm(this.#site.limits.headTimeoutMs);
    connection.handler = this;
  }

  get local(): Address {
    return this.connection.local;
  }

  get remote(): Address {
    return this.connection.remote;
  }

  get tls(): TlsInfo | null {
    return this.connection.tls;
  }

  get protocol(): string {
    return this.#farewell === null ? "TLS" : "HTTP/1.1";
  }

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  // ----------------------------------------------------------------------------------------- from the client

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#state === LINGER) return this.#discard(end - start);
    if (this.#state > WAIT) return;
    if (this.#ahead.length === 0) this.#site = this.#driver.site;
    this.#ahead.append(buffer, start, end);
    if (this.#state === OPENING) this.#open();
  }

  #open(): void {
    const { bytes, start, end } = this.#ahead;
    const isTls = bytes[start] === TLS_HANDSHAKE;
    const meant = this.connection.originalDestination ?? null;
    if (meant === null) {
      if (!isTls) this.#farewell = ANSWER_TO_DIRECT;
      const message = "the connection was not redirected here, and a transparent address takes no other";
      return this.#refuse(new ProxyError("http_request_error", message, { side: "client" }));
    }
    if (!isTls) return this.#handToHttp(meant);
    const found = parseClientHello(bytes, start, end, hello);
    if (found < 0) return this.#refuse(clientHelloError(found));
    if (found > 0) this.#askForTunnel(meant, hello.serverName);
  }

  #handToHttp({ address, port }: Address): void {
    const first = this.#ahead.take();
    this.#state = HANDED;
    this.#deadline.dispose();
    const { connection } = this;
    this.#driver.accept(connection, this.#originOf("http", null, null, { address, port }));
    this.#driver.forget(this);
    connection.handler.onBytes(first, 0, first.length);
  }

  /** The ClientHello is complete: from here on it is an exchange. What else comes waits for the tunnel. */
  #askForTunnel({ address, port }: Address, serverName: string | null): void {
    this.#deadline.disarm();
    this.#state = WAIT;
    this.connection.pause();
    const host = serverName === null ? null : hostOf(serverName);
    this.origin = this.#originOf("tunnel", host, serverName, { address, port });
    const request = new RequestMessage();
    const to = host ?? address;
    request.setTunnelTarget(to.includes(":") ? `[${to}]:${port}` : `${to}:${port}`);
    request.scheme = "https";
    this.#life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life.begin();
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

  /** There is nothing to ask for: the log is told. */
  #refuse(error: ProxyError): void {
    this.#deadline.disarm();
    this.#state = WAIT;
    const request = new RequestMessage();
    request.method = "-";
    this.#life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life.fail(error);
  }

  #discard(bytes: number): void {
    this.#discarded += bytes;
    if (this.#discarded > LINGER_BYTES_MAX) this.connection.destroy();
  }

  onDrain(): void {}

  onEnd(): void {
    this.#ended = true;
    if (this.#state === HANDED) return;
    if (this.#life === null) return this.connection.end();
    if (this.#site.halfClose) return;
    this.#leave(new ProxyError("http_request_error", "the client closed the connection", { status: 499 }));
  }

  onClose(error: ProxyError | null): void {
    this.#driver.forget(this);
    this.#deadline.dispose();
    if (this.#state >= HANDED) return;
    const message = error?.message ?? "the client closed the connection";
    this.#leave(new ProxyError("http_request_error", message, { status: 499, cause: error ?? undefined }));
  }

  /** The client is of no use any more: the exchange ends, the connection with it. */
  #leave(error: ProxyError): void {
    const life = this.#life;
    this.#life = null;
    this.#close();
    this.connection.destroy();
    life?.onClientGone(error);
  }

  #close(): void {
    this.#state = CLOSED;
    this.#deadline.dispose();
    this.#ahead.clear();
  }

  // ------------------------------------------------------------------------------------- the exchange's calls

  startRequestBody(): void {}

  pauseRequestBody(): void {}

  resumeRequestBody(): void {}

  sendInformational(): void {}

  /** A client that knows of no proxy gets no answer of one. */
  sendHead(_response: ResponseMessage): void {
    if (this.#farewell !== null) this.connection.write(this.#farewell);
  }

  write(): void {}

  end(): void {
    // Nothing of the answer was sent, and the log is to say so.
    this.#life!.responseBodyBytes = 0;
  }

  spliceFrom(): null {
    return null;
  }

  onBodySpliced(): void {}

  abort(error: ProxyError): void {
    this.#close();
    this.connection.destroy(error, true);
  }

  takeOver(): TakenOver {
    const early = this.#ahead.take();
    this.#state = HANDED;
    this.#deadline.dispose();
    const serve: TakenOver["serve"] = (connection, origin) => this.#driver.accept(connection, origin);
    return { connection: this.connection, early, ended: this.#ended, serve };
  }

  onExchangeEnd(): void {
    this.#life = null;
    if (this.#state === HANDED) return this.#driver.forget(this);
    if (this.#state !== CLOSED) this.#linger();
  }

  /** Ends our side, and reads on for a while so that a reset does not overtake what was said. */
  #linger(): void {
    this.#state = LINGER;
    this.#ahead.clear();
    this.#deadline.arm(LINGER_TIMEOUT_MS);
    this.connection.end();
    this.connection.resume();
  }

  // ------------------------------------------------------------------------------------------- deadlines, drain

  #onDeadline(): void {
    if (this.#state === LINGER) return this.connection.destroy();
    // Only connected: a close says enough.
    if (this.#ahead.length === 0) return this.#linger();
    this.#refuse(new ProxyError("http_request_error", "the ClientHello did not arrive in time", { status: 408 }));
  }

  drain(): void {
    if (this.#state === OPENING && this.#ahead.length === 0) this.#linger();
  }

  /** Whoever has taken the connection over may have more to close than that; and what was cut off must not look complete. */
  destroy(error: ProxyError): void {
    if (this.#state === HANDED && this.#life !== null) return this.#life.fail(error);
    this.connection.destroy(error, this.#state === HANDED);
  }
}
