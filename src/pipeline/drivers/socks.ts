/**
 * SOCKS5, 4 and 4a on a client's connection: a handshake, then one exchange that asks for a tunnel as CONNECT does, so that rules,
 * limits and the log are the same. It decides how the wish is read and how the answer is said; who the client is, and where it
 * may go, is decided elsewhere.
 *
 *     HANDSHAKE --credentials--> VERDICT --accepted--> HANDSHAKE --request--> WAIT --2xx--> TUNNEL: it belongs to the tunnel
 *         |                         |                                          |
 *         +--error, in any of them: a reply, where there is one, then LINGER until the peer has read it--> closed
 *
 * Bytes behind the request belong to the tunnel. Until there is one they wait, and the client with them.
 */
import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { LINGER_BYTES_MAX, LINGER_TIMEOUT_MS } from "../../core/limits.ts";
import { RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Address, Connection, ConnectionHandler, TlsInfo } from "../../core/ports.ts";
import { ERR_VERSION, socksRequestError } from "../../protocol/socks/errors.ts";
import { GENERAL_FAILURE, replyCodeOfStatus } from "../../protocol/socks/replies.ts";
import { SocksServer } from "../../protocol/socks/server.ts";
import type { Downstream, TakenOver } from "../downstream.ts";
import type { Identity } from "../exchange.ts";
import { Life } from "../life.ts";
import type { LoginVerdict, Site } from "../site.ts";
import type { ClientOwner, ServedClient } from "./http1-client.ts";

const HANDSHAKE = 0;
const VERDICT = 1;
const WAIT = 2;
const LINGER = 3;
const TUNNEL = 4;
const CLOSED = 5;

/** What a program reads that was told of this address as a proxy for HTTP. */
const ANSWER_TO_HTTP = Buffer.from(
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
    "This address speaks SOCKS, not HTTP: give it to programs as socks5h://host:port.\n",
);
/** Methods of HTTP begin with one of A to Z. */
const LETTER_FIRST = 0x41;
const LETTER_LAST = 0x5a;

export class ClientSocks implements ConnectionHandler, Downstream, ServedClient {
  readonly connection: Connection;
  readonly origin = null;
  /** Who has proved who it is in the handshake. A user id of SOCKS4 proves nothing. */
  user: Identity | null = null;
  readonly #driver: ClientOwner;
  /** The configuration that the handshake began with. */
  #site: Site;
  /** null before its first byte. */
  #socks: SocksServer | null = null;
  readonly #deadline: Deadline;
  #state = HANDSHAKE;
  #life: Life | null = null;
  /** Received and not yet used: a message that is not complete, or what came ahead for the tunnel. */
  readonly #ahead = new ByteQueue();
  /** What a refused handshake is answered with, in place of a reply to a request; undefined: it was not refused. */
  #refusal: Buffer | null | undefined;
  /** The answer is that there is a tunnel, which is said when it is taken over. */
  #granted = false;
  /** The client has ended its side. */
  #ended = false;
  #discarded = 0;

  constructor(driver: ClientOwner, connection: Connection) {
    this.#driver = driver;
    this.#site = driver.site;
    this.connection = connection;
    // One deadline for the whole of the handshake: it is a few hundred bytes.
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
    const version = this.#socks === null ? 0 : this.#socks.version;
    return version === 0 ? "SOCKS" : `SOCKS${version}`;
  }

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  // ----------------------------------------------------------------------------------------- from the client

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#state === LINGER) return this.#discard(end - start);
    this.#ahead.append(buffer, start, end);
    this.#read();
  }

  /** Reads messages as far as the state allows, and lets bytes come or holds them back: nothing may pile up here. */
  #read(): void {
    const ahead = this.#ahead;
    while (this.#state === HANDSHAKE && ahead.length > 0) {
      const socks = this.#begun();
      const used = socks.receive(ahead.bytes, ahead.start, ahead.end);
      if (used < 0) return this.#refuseMessage(socks, used);
      if (used === 0) break;
      ahead.consume(used);
      if (socks.toSend !== null) this.connection.write(socks.toSend);
      if (socks.state === "verdict") this.#verify(socks);
      else if (socks.state === "answer") this.#begin(socks);
    }
    if (this.#state > WAIT) return;
    if (this.#state !== HANDSHAKE && ahead.length > 0) this.connection.pause();
    else this.connection.resume();
  }

  /** One handshake is read by one configuration, in however many pieces it comes. */
  #begun(): SocksServer {
    if (this.#socks === null) {
      this.#site = this.#driver.site;
      const { logins } = this.#site.forward!;
      this.#socks = new SocksServer(logins === null ? "none" : logins.isRequired ? "required" : "optional");
    }
    return this.#socks;
  }

  #verify(socks: SocksServer): void {
    // From here until the verdict it is for us to hurry.
    this.#deadline.disarm();
    this.#state = VERDICT;
    const verdict = this.#site.forward!.logins!.check(socks.user!, socks.password!, this.remote.address);
    if (!(verdict instanceof Promise)) return this.#judge(socks, verdict);
    verdict.then(
      (known) => this.#judgeLater(socks, known),
      (thrown: unknown) => this.#judgeLater(socks, ProxyError.from(thrown)),
    );
  }

  #judgeLater(socks: SocksServer, verdict: LoginVerdict): void {
    if (this.#state !== VERDICT) return;
    this.#judge(socks, verdict);
    this.#read();
  }

  #judge(socks: SocksServer, verdict: LoginVerdict): void {
    const isRefused = verdict instanceof ProxyError;
    const reply = socks.verdict(!isRefused);
    if (isRefused) return this.#refuse(verdict, reply);
    this.user = verdict;
    this.connection.write(reply);
    this.#state = HANDSHAKE;
    this.#deadline.arm(this.#site.limits.headTimeoutMs);
  }

  /** The request is complete: from here on it is an exchange. */
  #begin({ host, port }: SocksServer): void {
    this.#deadline.disarm();
    this.#state = WAIT;
    const request = new RequestMessage();
    request.setTunnelTarget(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
    request.scheme = this.connection.tls === null ? "http" : "https";
    this.#life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life.begin();
  }

  #refuseMessage(socks: SocksServer, code: number): void {
    const first = this.#ahead.bytes[this.#ahead.start]!;
    if (code === ERR_VERSION && first >= LETTER_FIRST && first <= LETTER_LAST) {
      const error = new ProxyError("http_request_error", "SOCKS request refused: it is a request of HTTP");
      return this.#refuse(error, ANSWER_TO_HTTP);
    }
    this.#refuse(socksRequestError(code), socks.refusal(code));
  }

  /** The handshake goes no further: the log is told, and the client gets the reply, where there is one. */
  #refuse(error: ProxyError, reply: Buffer | null): void {
    this.#refusal = reply;
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
    if (this.#state === TUNNEL) return;
    if (this.#life === null && this.#state !== VERDICT) return this.connection.end();
    if (this.#state === WAIT && this.#site.halfClose) return;
    this.#leave(new ProxyError("http_request_error", "the client closed the connection", { status: 499 }));
  }

  onClose(error: ProxyError | null): void {
    this.#driver.forget(this);
    this.#deadline.dispose();
    if (this.#state === TUNNEL || this.#state === CLOSED) return;
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

  /** Our end of the tunnel is told to nobody: it is of no use for a client of CONNECT, and says how our network is made. */
  sendHead({ status }: ResponseMessage): void {
    if (this.#refusal !== undefined) {
      if (this.#refusal !== null) this.connection.write(this.#refusal);
      return;
    }
    this.#granted = status < 300;
    if (this.#granted) return;
    const { error } = this.#life!;
    const socks = this.#socks!;
    this.connection.write(error === null ? socks.failedWith(replyCodeOfStatus(status)) : socks.failed(error));
  }

  /** SOCKS has no body: what an answer says beyond its status is left out. */
  write(): void {}

  end(): void {
    // A feature has answered in place of a tunnel; a client would take 2xx for one.
    if (this.#granted) this.connection.write(this.#socks!.failedWith(GENERAL_FAILURE));
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
    this.connection.write(this.#socks!.granted(null));
    const early = this.#ahead.take();
    this.#state = TUNNEL;
    this.#deadline.dispose();
    const serve: TakenOver["serve"] = (connection, origin) => this.#driver.accept(connection, origin);
    return { connection: this.connection, early, ended: this.#ended, serve };
  }

  onExchangeEnd(): void {
    this.#life = null;
    if (this.#state === TUNNEL) return this.#driver.forget(this);
    if (this.#state !== CLOSED) this.#linger();
  }

  /** Everything is sent: ends our side, and reads on for a while so that a reset does not overtake the reply. */
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
    if (this.#socks === null) return this.#linger();
    this.#refuse(
      new ProxyError("http_request_error", "the SOCKS handshake did not end in time", { status: 408 }),
      null,
    );
  }

  drain(): void {
    if (this.#socks === null && this.#state === HANDSHAKE) this.#linger();
  }

  /** What was cut off must not look complete. */
  destroy(error: ProxyError): void {
    this.connection.destroy(error, this.#state === TUNNEL);
  }
}
