/**
 * SOCKS5, 4 and 4a on a client's connection: a handshake, then one exchange that asks for a tunnel as CONNECT does, so that rules,
 * limits and the log are the same. It decides how the wish is read and how the answer is said; how the connection lives is decided
 * in tunnel-client.ts, and who the client is, and where it may go, elsewhere.
 *
 *     OPENING --credentials--> VERDICT --accepted--> OPENING --request--> WAIT
 *
 * Bytes behind the request belong to the tunnel. Until there is one they wait, and the client with them.
 */
import { ProxyError } from "../../core/errors.ts";
import type { ResponseMessage } from "../../core/message.ts";
import { ERR_VERSION, socksRequestError } from "../../protocol/socks/errors.ts";
import { GENERAL_FAILURE, replyCodeOfStatus } from "../../protocol/socks/replies.ts";
import { SocksServer } from "../../protocol/socks/server.ts";
import type { TakenOver } from "../downstream.ts";
import type { Identity } from "../exchange.ts";
import type { LoginVerdict } from "../site.ts";
import { OPENING, TunnelClient, VERDICT, WAIT } from "./tunnel-client.ts";

/** What a program reads that was told of this address as a proxy for HTTP. */
const ANSWER_TO_HTTP = Buffer.from(
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
    "This address speaks SOCKS, not HTTP: give it to programs as socks5h://host:port.\n",
);
/** Methods of HTTP begin with one of A to Z. */
const LETTER_FIRST = 0x41;
const LETTER_LAST = 0x5a;

export class ClientSocks extends TunnelClient {
  readonly origin = null;
  /** Who has proved who it is in the handshake. A user id of SOCKS4 proves nothing. */
  user: Identity | null = null;
  /** null before its first byte. */
  #socks: SocksServer | null = null;
  /** The answer is that there is a tunnel, which is said when it is taken over. */
  #granted = false;

  get protocol(): string {
    const version = this.#socks === null ? 0 : this.#socks.version;
    return version === 0 ? "SOCKS" : `SOCKS${version}`;
  }

  protected get lateness(): string {
    return "the SOCKS handshake did not end in time";
  }

  /** Reads messages, and lets bytes come or holds them back: nothing may pile up here. */
  protected read(): void {
    const { ahead } = this;
    while (this.state === OPENING && ahead.length > 0) {
      const socks = this.#begun();
      const used = socks.receive(ahead.bytes, ahead.start, ahead.end);
      if (used < 0) return this.#refuseMessage(socks, used);
      if (used === 0) break;
      ahead.consume(used);
      if (socks.toSend !== null) this.connection.write(socks.toSend);
      if (socks.state === "verdict") this.#verify(socks);
      else if (socks.state === "answer") {
        this.askForTunnel(socks.host, socks.port, this.connection.tls === null ? "http" : "https");
      }
    }
    if (this.state > WAIT) return;
    if (this.state !== OPENING && ahead.length > 0) this.connection.pause();
    else this.connection.resume();
  }

  #begun(): SocksServer {
    if (this.#socks === null) {
      const { logins } = this.site.forward!;
      this.#socks = new SocksServer(logins === null ? "none" : logins.isRequired ? "required" : "optional");
    }
    return this.#socks;
  }

  #verify(socks: SocksServer): void {
    // From here until the verdict it is for us to hurry.
    this.deadline.disarm();
    this.state = VERDICT;
    const verdict = this.site.forward!.logins!.check(socks.user!, socks.password!, this.remote.address);
    if (!(verdict instanceof Promise)) return this.#judge(socks, verdict);
    verdict.then(
      (known) => this.#judgeLater(socks, known),
      (thrown: unknown) => this.#judgeLater(socks, ProxyError.from(thrown)),
    );
  }

  #judgeLater(socks: SocksServer, verdict: LoginVerdict): void {
    if (this.state !== VERDICT) return;
    this.#judge(socks, verdict);
    this.read();
  }

  #judge(socks: SocksServer, verdict: LoginVerdict): void {
    const isRefused = verdict instanceof ProxyError;
    const reply = socks.verdict(!isRefused);
    if (isRefused) return this.refuse(verdict, reply);
    this.user = verdict;
    this.connection.write(reply);
    this.state = OPENING;
    this.deadline.arm(this.site.limits.headTimeoutMs);
  }

  #refuseMessage(socks: SocksServer, code: number): void {
    const first = this.ahead.bytes[this.ahead.start]!;
    if (code === ERR_VERSION && first >= LETTER_FIRST && first <= LETTER_LAST) {
      const error = new ProxyError("http_request_error", "SOCKS request refused: it is a request of HTTP");
      return this.refuse(error, ANSWER_TO_HTTP);
    }
    this.refuse(socksRequestError(code), socks.refusal(code));
  }

  // ------------------------------------------------------------------------------------- the exchange's calls

  protected answer({ status }: ResponseMessage): void {
    this.#granted = status < 300;
    if (this.#granted) return;
    const { error } = this.life!;
    const socks = this.#socks!;
    this.connection.write(error === null ? socks.failedWith(replyCodeOfStatus(status)) : socks.failed(error));
  }

  end(): void {
    // A feature has answered in place of a tunnel; a client would take 2xx for one.
    if (this.#granted) this.connection.write(this.#socks!.failedWith(GENERAL_FAILURE));
  }

  /** Our end of the tunnel is told to nobody: it is of no use for a client of CONNECT, and says how our network is made. */
  override takeOver(): TakenOver {
    this.connection.write(this.#socks!.granted(null));
    return super.takeOver();
  }
}
