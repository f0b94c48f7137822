/**
 * A client whose connection is one exchange, which asks for a tunnel without a request of HTTP. It decides how the connection lives:
 * whose configuration holds, how long the wish may take, when the log is told, how the connection is given up or closed. How the wish
 * is read and what the client is told is decided by the drivers that it is the base of.
 *
 *     OPENING --wish--> WAIT --2xx--> HANDED: it belongs to the tunnel
 *      |   ^                |
 *      |   +--> VERDICT     |   a driver waits for who the client is
 *      +--error, in any of them: what there is to say--> CLOSED for us: the connection lingers until the peer has read it
 */
import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { NEXT_REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Address, Connection, ConnectionHandler, TlsInfo } from "../../core/ports.ts";
import type { Downstream, TakenOver } from "../downstream.ts";
import { clientGone } from "../faults.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import { Life } from "../life.ts";
import type { Site } from "../site.ts";
import { linger } from "./lingering.ts";
import type { ClientOwner, ServedClient } from "./served-client.ts";

export const OPENING = 0;
export const VERDICT = 1;
export const WAIT = 2;
export const HANDED = 3;
/** Nothing is to be done here any more: the connection is gone, or lingers. */
export const CLOSED = 4;

export abstract class TunnelClient implements ConnectionHandler, Downstream, ServedClient {
  readonly connection: Connection;
  abstract readonly origin: ConnectionOrigin | null;
  abstract readonly protocol: string;
  protected readonly driver: ClientOwner;
  /** The configuration that the connection's first bytes came under. */
  protected site: Site;
  /** For the wish to be complete: all of it is a few hundred bytes. */
  protected readonly deadline: Deadline;
  protected state = OPENING;
  protected life: Life | null = null;
  /** Received and not yet used: a part of the wish, or what came ahead for the tunnel. */
  protected readonly ahead = new ByteQueue();
  /** Nothing has come yet. */
  #isSilent = true;
  #isRefused = false;
  /** What is said to whom no exchange is for; null: nothing. */
  #farewell: Buffer | null = null;
  /** The client has ended its side. */
  #ended = false;

  constructor(driver: ClientOwner, connection: Connection) {
    this.driver = driver;
    this.site = driver.site;
    this.connection = connection;
    this.deadline = new Deadline(this.site.deadlines, () => this.#onDeadline());
    this.deadline.arm(this.site.limits.headTimeoutMs);
    connection.handler = this;
  }

  /** Reads what is `ahead`, as far as the state allows. */
  protected abstract read(): void;
  /** What the log says of a wish that is not complete in time. */
  protected abstract get lateness(): string;
  /** Says what has become of the wish, but for a tunnel that there is. */
  protected abstract answer(response: ResponseMessage): void;
  /** The answer is complete; there is no tunnel. */
  abstract end(): void;

  get local(): Address {
    return this.connection.local;
  }

  get remote(): Address {
    return this.connection.remote;
  }

  get tls(): TlsInfo | null {
    return this.connection.tls;
  }

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  // ----------------------------------------------------------------------------------------- from the client

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.state >= HANDED) return;
    // A wish is read by one configuration, in however many pieces it comes.
    if (this.#isSilent) {
      this.site = this.driver.site;
      if (this.driver.draining) this.deadline.arm(this.site.limits.headTimeoutMs);
    }
    this.#isSilent = false;
    this.ahead.append(buffer, start, end);
    this.read();
  }

  /** The wish is complete: from here on it is an exchange. `host` has no brackets. */
  protected askForTunnel(host: string, port: number, scheme: "http" | "https"): void {
    const request = new RequestMessage();
    request.setTunnelTarget(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
    request.scheme = scheme;
    this.#exchangeOf(request).begin();
  }

  /** There is nothing to ask for: the log is told, and the client what there is to say. */
  protected refuse(error: ProxyError, farewell: Buffer | null): void {
    this.#isRefused = true;
    this.#farewell = farewell;
    const request = new RequestMessage();
    request.method = "-";
    this.#exchangeOf(request).fail(error);
  }

  #exchangeOf(request: RequestMessage): Life {
    this.deadline.disarm();
    this.state = WAIT;
    this.life = new Life(this.site, this, request, this.site.clock.now());
    return this.life;
  }

  /** Gives up the connection, and what the client has sent ahead. */
  protected handOver(): Buffer {
    this.state = HANDED;
    this.deadline.dispose();
    return this.ahead.take();
  }

  onDrain(): void {}

  onEnd(): void {
    this.#ended = true;
    if (this.state === HANDED) return;
    if (this.life === null && this.state !== VERDICT) return this.connection.end();
    if (this.state === WAIT && this.site.halfClose) return;
    this.#leave(clientGone());
  }

  onClose(error: ProxyError | null): void {
    this.driver.forget(this);
    this.deadline.dispose();
    if (this.state >= HANDED) return;
    this.#leave(clientGone(error));
  }

  /** The client is of no use any more: the exchange ends, the connection with it. */
  #leave(error: ProxyError): void {
    const { life } = this;
    this.life = null;
    this.#close();
    this.connection.destroy();
    life?.onClientGone(error);
  }

  #close(): void {
    this.state = CLOSED;
    this.deadline.dispose();
    this.ahead.clear();
  }

  // ------------------------------------------------------------------------------------- the exchange's calls

  startRequestBody(): void {}

  pauseRequestBody(): void {}

  resumeRequestBody(): void {}

  sendInformational(): void {}

  sendHead(response: ResponseMessage): void {
    if (!this.#isRefused) this.answer(response);
    else if (this.#farewell !== null) this.connection.write(this.#farewell);
  }

  /** Without HTTP there is no body: what an answer says beyond its status is left out. */
  write(): void {}

  spliceFrom(): null {
    return null;
  }

  sendFile(): boolean {
    return false;
  }

  get unsentBytes(): number {
    return 0;
  }

  onBodySpliced(): void {}

  abort(error: ProxyError): void {
    this.#close();
    this.connection.destroy(error, true);
  }

  takeOver(): TakenOver {
    const early = this.handOver();
    const serve: TakenOver["serve"] = (connection, origin) => this.driver.accept(connection, origin);
    return { connection: this.connection, early, ended: this.#ended, serve };
  }

  onExchangeEnd(): void {
    this.life = null;
    if (this.state === HANDED) return this.driver.forget(this);
    if (this.state !== CLOSED) this.#linger();
  }

  /** What there is to say is said. */
  #linger(): void {
    this.#close();
    linger(this.connection, this.site.deadlines, () => this.driver.forget(this));
  }

  // ------------------------------------------------------------------------------------------- deadlines, drain

  #onDeadline(): void {
    // Only connected: a close says enough.
    if (this.#isSilent) return this.#linger();
    this.refuse(new ProxyError("http_request_error", this.lateness, { status: 408 }), null);
  }

  drain(): void {
    if (this.#isSilent && this.state === OPENING) this.deadline.arm(NEXT_REQUEST_TIMEOUT_MS);
  }

  siteChanged(): void {}

  /** What was cut off must not look complete. */
  destroy(error: ProxyError): void {
    this.connection.destroy(error, this.state === HANDED);
  }
}
