/**
 * HTTP/1.1 on a client's connection: bytes to exchanges and back. One request at a time: pipelined ones wait in the order
 * in which they came. The driver owns framing, keep-alive and the client's deadlines; what an exchange does is Life's. How the
 * bodies are framed is BodyReader's and BodyWriter's, and what follows the last answer lingering.ts's. Long all the same, because both
 * directions of one connection share its state, and so does the deadline, which is for whatever the client has to do next.
 *
 * Where a connection stands is its `#state`; what the peer sends decides the way on:
 *
 *     HEAD --complete head--> BODY --end of body--> WAIT --answer sent--> HEAD
 *       |                      |                     |
 *       +--error: answer--> CLOSED for us: the connection lingers until the peer has read it (lingering.ts)
 *                              +--answered before its end: DISCARD --end of body--> HEAD
 *     instead of HEAD, when the client has not taken enough of its answers: FLUSH --taken--> HEAD
 *     WAIT --101--> TUNNEL: the connection belongs to the tunnel
 */
import { ByteQueue } from "../../core/byte-queue.ts";
import { Deadline } from "../../core/deadlines.ts";
import { ProxyError } from "../../core/errors.ts";
import { acquireStorage, type FieldBlock, releaseStorage } from "../../core/fields.ts";
import {
  BODY_PROGRESS_TIMEOUT_MS,
  DISCARD_BYTES_MAX,
  LINGER_TIMEOUT_MS,
  NEXT_REQUEST_TIMEOUT_MS,
  QUEUE_HIGH_WATER_BYTES,
  REPLAY_BODY_BYTES_MAX,
  SPLICE_BYTES_MIN,
} from "../../core/limits.ts";
import { BODY_UNTIL_END, RequestMessage, type ResponseMessage } from "../../core/message.ts";
import type { Address, Connection, ConnectionHandler, Splice, SpliceHandler, TlsInfo } from "../../core/ports.ts";
import { BodyReader } from "../../protocol/http1/body-reader.ts";
import { BodyWriter } from "../../protocol/http1/body-writer.ts";
import {
  CONNECTION_UPGRADE,
  connectionOptions,
  expectContinue,
  isPersistent,
} from "../../protocol/http1/connection.ts";
import {
  encodeResponseHead,
  SAY_CLOSE,
  SAY_KEEP_ALIVE,
  SAY_NOTHING,
  SEND_CHUNKED,
  SEND_LENGTH,
  SEND_NO_BODY,
  SEND_UNTIL_CLOSE,
} from "../../protocol/http1/encode.ts";
import { requestError } from "../../protocol/http1/errors.ts";
import { BodyFraming, requestFraming } from "../../protocol/http1/framing.ts";
import { headMayBeComplete, isOfEmptyLines, parseRequestHead, RequestHead } from "../../protocol/http1/request-head.ts";
import { acceptsTrailers } from "../../semantics/hop-by-hop.ts";
import type { Downstream, TakenOver } from "../downstream.ts";
import { clientDoesNotRead, clientGone, requestBodyLate, requestBodyNotAskedFor, wrongLength } from "../faults.ts";
import { ForwardedLines } from "../forwarded-lines.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import { Life } from "../life.ts";
import type { Site } from "../site.ts";
import type { BodySplice } from "../splice.ts";
import { linger } from "./lingering.ts";
import type { ClientOwner, ServedClient } from "./served-client.ts";

const HEAD = 0;
const BODY = 1;
const WAIT = 2;
const FLUSH = 3;
const DISCARD = 4;
const TUNNEL = 5;
/** Nothing is to be done here any more: the connection is gone, or lingers. */
const CLOSED = 6;

/** Parsed heads are used up before the next one is parsed: one of each serves the whole thread. */
const head = new RequestHead();
const framing = new BodyFraming();
const forwardedLines = new ForwardedLines();

export class ClientHttp1 implements ConnectionHandler, Downstream, SpliceHandler, ServedClient {
  readonly connection: Connection;
  readonly origin: ConnectionOrigin | null;
  readonly #driver: ClientOwner;
  /** The configuration that the request under way began with. */
  #site: Site;
  readonly #deadline: Deadline;
  #state = HEAD;
  #life: Life | null = null;

  /** Received and not yet used: an incomplete head, or what came ahead of its time. */
  readonly #ahead = new ByteQueue();
  /** How far `#ahead` was searched for the end of a head; 0: none has begun. */
  #searched = 0;
  #reading = false;
  /** The exchange wants no more of the body for now. */
  #bodyPaused = false;
  #bodyStarted = false;
  #ended = false;

  // The request under way.
  readonly #body = new BodyReader();
  /** Of what is left of the body, what passes unseen. */
  #splice: BodySplice | null = null;
  #http10 = false;
  #isHead = false;
  #isConnect = false;
  #persistent = true;
  /** The client has said so, and sends nothing behind its end. */
  #isLastRequest = false;
  #expectsContinue = false;
  #wantsTrailers = false;
  #discarded = 0;

  // The answer under way.
  readonly #answer = new BodyWriter();
  #answered = false;
  /** What was queued when it was looked at last, whether the client takes any of it: less of it means that it does. */
  #queuedAtDeadline = 0;

  constructor(driver: ClientOwner, connection: Connection, origin: ConnectionOrigin | null) {
    this.#driver = driver;
    this.origin = origin;
    this.#site = driver.site;
    this.connection = connection;
    this.#deadline = new Deadline(this.#site.deadlines, () => this.#onDeadline());
    this.#deadline.arm(this.#site.limits.headTimeoutMs);
    connection.handler = this;
  }

  get forwardedLines(): ForwardedLines {
    return forwardedLines;
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

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  // ----------------------------------------------------------------------------------------- from the client

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#splice !== null) this.#unsplice();
    if (this.#ahead.length > 0) {
      this.#ahead.append(buffer, start, end);
      this.#useAhead();
      return;
    }
    const used = this.#use(buffer, start, end);
    if (used < end && this.#state < TUNNEL) this.#ahead.append(buffer, used, end);
    this.#settle();
  }

  /** Goes on with what was kept, as far as the state allows. */
  #useAhead(): void {
    const ahead = this.#ahead;
    if (this.#reading) return;
    // An incomplete head is not parsed again for every byte that comes.
    const from = ahead.start + this.#searched;
    if (this.#state === HEAD && this.#searched > 0 && ahead.length <= this.#site.limits.headBytesMax) {
      this.#searched = ahead.length;
      if (!headMayBeComplete(ahead.bytes, from, ahead.end)) return;
    }
    if (ahead.length > 0) {
      const { start } = ahead;
      const used = this.#use(ahead.bytes, start, ahead.end);
      if (ahead.length > 0 && ahead.start === start) ahead.consume(used - start);
    }
    this.#settle();
  }

  /** Lets bytes come, or holds them back: what cannot be used now must not pile up here. */
  #settle(): void {
    const state = this.#state;
    if (state >= TUNNEL) return;
    const full = (state === WAIT || state === BODY || state === FLUSH) && this.#ahead.length > 0;
    if (full || (state === BODY && this.#bodyPaused)) this.connection.pause();
    else {
      this.connection.resume();
      if (this.#body.left > SPLICE_BYTES_MIN) this.#offerBody();
    }
  }

  /** The rest of a long body need not be seen, but for the last byte: it ends the request. */
  #offerBody(): void {
    if (this.#state !== BODY || !this.#bodyStarted || this.#expectsContinue || this.#splice !== null) return;
    this.#splice = this.#life!.onRequestBodyAhead(this.connection, this.#body.left - 1, this);
    if (this.#splice !== null) this.#watchClient();
  }

  onSpliced(): void {
    this.#unsplice();
    if (this.#state === BODY) this.#watchClient();
  }

  #unsplice(): void {
    this.#body.passed(this.#splice!.end());
    this.#splice = null;
  }

  /** Of bytes that are being used, keeps those from `at` on, and nothing of what stood before. */
  #keepBehind(buffer: Buffer, at: number, end: number): void {
    const ahead = this.#ahead;
    if (ahead.length > 0) ahead.consume(at - ahead.start);
    else ahead.append(buffer, at, end);
  }

  /** Uses `buffer[at, end)` as far as the state allows; returns the offset behind what was used. */
  #use(buffer: Buffer, at: number, end: number): number {
    this.#reading = true;
    while (at < end) {
      const before = at;
      if (this.#state === HEAD) at = this.#useHead(buffer, at, end);
      else if (this.#state === BODY || this.#state === DISCARD) at = this.#useBody(buffer, at, end);
      else break;
      if (at === before) break;
    }
    this.#reading = false;
    return at;
  }

  #useHead(buffer: Buffer, at: number, end: number): number {
    // One head is read by one configuration, in however many pieces it comes.
    if (this.#searched === 0) this.#site = this.#driver.site;
    const storage = acquireStorage();
    const length = parseRequestHead(buffer, at, end, storage, this.#site.limits, head);
    if (length > 0) {
      const request = new RequestMessage();
      request.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
      if (head.method === "CONNECT") {
        // What follows is meant for the tunnel, whoever takes it over and however soon.
        this.#keepBehind(buffer, at + length, end);
        this.#begin(request, at + length < end);
        return end;
      }
      this.#begin(request, at + length < end);
      return at + length;
    }
    releaseStorage(storage);
    if (length < 0) {
      this.#refuse(unread(), requestError(length));
      return end;
    }
    // An empty line is no beginning: old clients send one behind a body (RFC 9112, section 2.2), and are idle all the same.
    if (isOfEmptyLines(buffer, at, end)) return at;
    // The first bytes of a head after an idle time: from now on the head's own deadline counts.
    if (this.#searched === 0) this.#deadline.arm(this.#site.limits.headTimeoutMs);
    this.#searched = end - at;
    return at;
  }

  /** `more`: something stands behind the head already. */
  #begin(request: RequestMessage, more: boolean): void {
    request.method = head.method;
    request.form = head.form;
    request.httpVersion = 10 + head.minor;
    request.scheme = this.connection.tls === null ? "http" : "https";
    request.plainPath = head.plainPath;
    request.setTargetRange(head.targetStart, head.pathEnd, head.targetEnd);
    if (head.plainLine) request.keepStartLine();
    else if (head.form === "absolute") request.setAuthorityRange(head.authorityStart, head.authorityEnd);
    this.#searched = 0;
    this.#deadline.disarm();
    this.#http10 = head.minor === 0;
    this.#isHead = head.method === "HEAD";
    this.#isConnect = head.method === "CONNECT";
    const { fields } = request;
    const options = connectionOptions(fields, head.seen, head.minor);
    this.#persistent = isPersistent(options, head.minor);

    const failure = requestFraming(head, fields, framing);
    if (failure < 0) return this.#refuse(request, requestError(failure));
    const expectation = expectContinue(fields, head.seen, head.minor);
    if (expectation < 0) return this.#refuse(request, requestError(expectation));
    this.#expectsContinue = expectation === 1;

    this.#body.begin(framing);
    request.bodyBytes = this.#body.bodyBytes;
    if ((options & CONNECTION_UPGRADE) !== 0) {
      request.upgrade = fields.get("upgrade")?.toLowerCase() ?? null;
    }
    this.#wantsTrailers = request.wantsTrailers = head.minor === 1 && acceptsTrailers(fields);
    this.#state = request.bodyBytes === 0 ? WAIT : BODY;
    // Into a tunnel a client may send ahead, and learns only from the answer that there is none.
    this.#isLastRequest = !this.#persistent && !this.#isConnect && (this.#state === BODY || !more);
    this.#bodyStarted = this.#bodyPaused = this.#answered = false;
    this.#life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life.begin();
  }

  refuse(error: ProxyError): void {
    this.#refuse(unread(), error);
  }

  /** Answers what could not be read as a request; nothing behind it can be trusted. */
  #refuse(request: RequestMessage, error: ProxyError): void {
    this.#persistent = false;
    // Whatever it was, more of it may be under way.
    this.#isLastRequest = false;
    this.#body.reset();
    this.#state = WAIT;
    this.#answered = false;
    this.#isHead = request.method === "HEAD";
    this.#isConnect = false;
    this.#http10 = request.httpVersion === 10;
    this.#life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life.fail(error);
  }

  #useBody(buffer: Buffer, at: number, end: number): number {
    const discarding = this.#state === DISCARD;
    if (!discarding) {
      if (!this.#bodyStarted || this.#bodyPaused) return at;
      this.#expectsContinue = false;
      this.#deadline.arm(this.#bodyTimeoutMs);
    }
    const body = this.#body;
    const next = body.next(buffer, at, end);
    if (next < 0) {
      this.#endlessBody(requestError(next));
      return end;
    }
    if (!discarding && body.dataEnd > body.dataStart) {
      this.#life!.onRequestBody(buffer, body.dataStart, body.dataEnd);
    }
    if (body.ended && (this.#state === BODY || this.#state === DISCARD)) {
      this.#bodyEnded(body.trailers);
      body.reset();
    }
    if (discarding && this.#state === DISCARD) {
      this.#discarded += next - at;
      // Chunks: a length would have been known when the answer said that the connection is kept.
      if (this.#discarded > DISCARD_BYTES_MAX) this.#linger();
      else this.#deadline.arm(LINGER_TIMEOUT_MS);
    }
    return next;
  }

  /** What comes is no body any more, and the rest of it is under way. */
  #endlessBody(error: ProxyError): void {
    this.#persistent = false;
    if (this.#state === DISCARD) return this.#linger();
    this.#isLastRequest = false;
    // The life must not wait for a body that cannot end any more.
    this.#state = WAIT;
    this.#life!.fail(error);
  }

  #bodyEnded(trailers: FieldBlock | null): void {
    if (this.#state === DISCARD) return this.#nextRequest();
    this.#state = WAIT;
    this.#watchClient();
    this.#life!.onRequestEnd(trailers);
  }

  get #bodyTimeoutMs(): number {
    return this.#life === null ? BODY_PROGRESS_TIMEOUT_MS : this.#life.bodyTimeoutMs;
  }

  onDrain(): void {
    if (this.#state === FLUSH) return this.#nextRequest();
    if (this.#life === null) return;
    this.#watchClient();
    this.#life.onClientDrain();
  }

  /** The deadline is for what the client has to do: to go on with its request, or to take what was sent. */
  #watchClient(): void {
    const sends = this.#state === BODY && this.#bodyStarted && !this.#bodyPaused && this.#splice === null;
    const { queuedBytes } = this.connection;
    const takes =
      this.#answered && (queuedBytes > QUEUE_HIGH_WATER_BYTES || (queuedBytes > 0 && this.#life!.sendsFile));
    if (sends || takes) this.#deadline.arm(this.#bodyTimeoutMs);
    else this.#deadline.disarm();
  }

  onEnd(): void {
    this.#ended = true;
    if (this.#state === TUNNEL) return;
    if (this.#life === null) {
      // Idle, or in the middle of a head: nobody is waiting.
      this.connection.end();
      return;
    }
    if (this.#state === WAIT && this.#site.halfClose) return;
    this.#leave(clientGone());
  }

  onClose(error: ProxyError | null): void {
    this.#driver.forget(this);
    this.#deadline.dispose();
    this.#body.reset();
    if (this.#state === TUNNEL || this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#ahead.clear();
    const life = this.#life;
    this.#life = null;
    life?.onClientGone(clientGone(error));
  }

  /** The client is of no use any more: the exchange ends, the connection with it. */
  #leave(error: ProxyError): void {
    const life = this.#life;
    this.#life = null;
    this.#state = CLOSED;
    this.#deadline.dispose();
    // An answer that had begun is cut: it must not look complete where its end is that of the connection.
    this.connection.destroy(undefined, this.#answered);
    life?.onClientGone(error);
  }

  // ------------------------------------------------------------------------------------- the exchange's calls

  startRequestBody(): void {
    this.#bodyStarted = true;
    this.#watchClient();
    this.#useAhead();
  }

  pauseRequestBody(): void {
    this.#bodyPaused = true;
    if (this.#state !== BODY) return;
    this.#watchClient();
    this.connection.pause();
  }

  resumeRequestBody(): void {
    this.#bodyPaused = false;
    if (this.#state !== BODY) return;
    this.#watchClient();
    this.#useAhead();
  }

  sendInformational(response: ResponseMessage): void {
    if (this.#http10) return;
    if (response.status === 100) {
      if (!this.#expectsContinue) return;
      this.#expectsContinue = false;
    }
    encodeResponseHead(this.connection, response, SEND_NO_BODY, SAY_NOTHING);
  }

  sendHead(response: ResponseMessage): void {
    const { status, bodyBytes } = response;
    this.#answered = true;
    this.#queuedAtDeadline = Number.POSITIVE_INFINITY;
    const switches = this.#isConnect ? status < 300 : status === 101;
    let framing = SEND_CHUNKED;
    if (this.#isHead || status === 204 || status === 304 || switches) framing = SEND_NO_BODY;
    else if (bodyBytes !== BODY_UNTIL_END) framing = SEND_LENGTH;
    else if (this.#http10) framing = SEND_UNTIL_CLOSE;
    if (
      framing === SEND_UNTIL_CLOSE ||
      this.#driver.draining ||
      this.#ended ||
      this.#isOutdated ||
      !this.#bodyWillEnd()
    ) {
      this.#persistent = false;
    }
    // What a client sends ahead into a tunnel that it does not get is no request. Who is asked for credentials waits for them.
    if (this.#isConnect && (status !== 407 || this.#ahead.length > 0)) this.#persistent = false;
    // It was for another server, or for one that is gone: the client has to ask on another connection.
    if (status === 421 && this.origin !== null) this.#persistent = false;
    let say = SAY_NOTHING as string;
    if (!switches) {
      if (!this.#persistent) say = SAY_CLOSE;
      else if (this.#http10) say = SAY_KEEP_ALIVE;
    }
    encodeResponseHead(this.connection, response, framing, say);
    this.#answer.begin(framing, bodyBytes);
  }

  /** Whether the rest of the request's body is worth reading, so that the connection can be kept. */
  #bodyWillEnd(): boolean {
    if (this.#state !== BODY) return true;
    const { isChunked, left } = this.#body;
    if (this.#bodyStarted && !this.#expectsContinue) return isChunked || left <= DISCARD_BYTES_MAX;
    return !this.#expectsContinue && !isChunked && left <= REPLAY_BODY_BYTES_MAX;
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    const { connection } = this;
    if (!this.#answer.write(connection, bytes, start, end)) return this.#life!.fail(wrongLength("longer"));
    const { queuedBytes } = connection;
    if (queuedBytes > QUEUE_HIGH_WATER_BYTES) {
      this.#queuedAtDeadline = queuedBytes;
      if (!this.#deadline.armed) this.#deadline.arm(this.#bodyTimeoutMs);
    } else if (this.#state === BODY && this.#deadline.armed) {
      // Who takes an answer need not go on with its request.
      this.#deadline.arm(this.#bodyTimeoutMs);
    }
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    const { connection } = this;
    if (!this.#answer.sendFile(connection, descriptor, offset, length, onSent)) {
      this.#life!.fail(wrongLength("longer"));
      return false;
    }
    // The exchange lasts until the file has left, however little that is.
    this.#queuedAtDeadline = connection.queuedBytes;
    if (!this.#deadline.armed) this.#deadline.arm(this.#bodyTimeoutMs);
    return true;
  }

  get unsentBytes(): number {
    return this.connection.unsentBytes;
  }

  spliceFrom(from: Connection, bytes: number, giver: SpliceHandler): Splice | null {
    return this.#answer.mayPass(bytes) ? from.spliceTo(this.connection, bytes, giver) : null;
  }

  onBodySpliced(bytes: number): void {
    this.#answer.passed(bytes);
  }

  end(trailers: FieldBlock | null): void {
    const taken = this.#wantsTrailers ? trailers : null;
    if (!this.#answer.end(this.connection, taken)) this.#life!.fail(wrongLength("shorter"));
  }

  abort(error: ProxyError): void {
    this.#persistent = false;
    this.#state = CLOSED;
    this.#deadline.dispose();
    this.connection.destroy(error, true);
  }

  /** The driver: closes at once. What was cut off must not look complete. */
  destroy(error: ProxyError): void {
    // Whoever has taken the connection over may have more to close than that.
    if (this.#state === TUNNEL && this.#life !== null) return this.#life.fail(error);
    this.connection.destroy(error, this.#life !== null && this.#answered);
  }

  takeOver(): TakenOver {
    const early = this.#ahead.take();
    this.#state = TUNNEL;
    this.#deadline.dispose();
    const serve: TakenOver["serve"] = (connection, origin) => this.#driver.accept(connection, origin);
    return { connection: this.connection, early, ended: this.#ended, serve };
  }

  onExchangeEnd(): void {
    this.#life = null;
    if (this.#state === CLOSED) return;
    if (this.#state === TUNNEL) return this.#driver.forget(this);
    this.#deadline.disarm();
    if (this.#state === BODY) {
      // Answered before the request ended: its rest is read and thrown away where that is cheaper than a new connection.
      if (!this.#persistent) return this.#linger();
      this.#state = DISCARD;
      this.#bodyPaused = false;
      this.#discarded = 0;
      this.#deadline.arm(LINGER_TIMEOUT_MS);
      return this.#useAhead();
    }
    // Who has said that this was the last request sends nothing behind it (RFC 9112, section 9.6).
    if (!this.#persistent) return this.#linger(this.#isLastRequest && this.#ahead.length === 0);
    this.#nextRequest();
  }

  #nextRequest(): void {
    this.#state = HEAD;
    if (this.#ended || this.#isOutdated) return this.#linger();
    if (this.connection.queuedBytes > QUEUE_HIGH_WATER_BYTES) {
      // Or a client that asks on and on, and never reads, would fill our memory with answers.
      this.#state = FLUSH;
      this.#queuedAtDeadline = this.connection.queuedBytes;
      this.#deadline.arm(this.#bodyTimeoutMs);
      return this.#settle();
    }
    // The head of the answer left before the drain began, so the client may be asking again at this moment: a close would lose that.
    this.#deadline.arm(this.#driver.draining ? NEXT_REQUEST_TIMEOUT_MS : this.#site.limits.idleTimeoutMs);
    this.#useAhead();
  }

  /** Everything is sent. */
  #linger(peerIsDone = false): void {
    this.#state = CLOSED;
    this.#ahead.clear();
    this.#deadline.dispose();
    this.#body.reset();
    linger(this.connection, this.#site.deadlines, () => this.#driver.forget(this), peerIsDone);
  }

  // ------------------------------------------------------------------------------------------- deadlines, drain

  #onDeadline(): void {
    switch (this.#state) {
      case HEAD:
        // Idle, or only just connected: a close says enough. In the middle of a head: 408 (RFC 9110 section 15.5.9).
        if (this.#searched === 0) return this.#linger();
        this.#ahead.clear();
        return this.#refuse(unread(), timeout("the request head did not arrive in time"));
      case BODY:
      case WAIT:
      case FLUSH:
        return this.#onStall();
      case DISCARD:
        return this.#linger();
      default:
        this.connection.destroy();
    }
  }

  /** Neither the request's body nor the answer moved. */
  #onStall(): void {
    // Who takes an answer need not go on with its request.
    if (this.#life?.answerIsSpliced) return this.#deadline.arm(this.#bodyTimeoutMs);
    const { queuedBytes } = this.connection;
    if (this.#answered && queuedBytes > 0) {
      const moved = queuedBytes < this.#queuedAtDeadline;
      this.#queuedAtDeadline = queuedBytes;
      if (moved) return this.#deadline.arm(this.#bodyTimeoutMs);
      return this.#leave(clientDoesNotRead());
    }
    if (this.#state !== BODY) return;
    // A client that keeps its body back until it is asked for it is not to blame.
    this.#life?.fail(this.#expectsContinue ? requestBodyNotAskedFor() : requestBodyLate());
  }

  drain(): void {
    if (this.#state !== HEAD || this.#searched > 0) return;
    this.#deadline.arm(NEXT_REQUEST_TIMEOUT_MS);
  }

  /**
   * The next request would get 421, which few clients but browsers repeat; all of them know that a connection that rests may be closed.
   * Who has asked for nothing yet would take that for a failure.
   */
  siteChanged(): void {
    if (this.#state === HEAD && this.#answered && this.#searched === 0 && this.#isOutdated) this.#linger();
  }

  /** It came out of a tunnel, and what let that in is gone: no more requests are served here. */
  get #isOutdated(): boolean {
    const { origin } = this;
    return origin?.kind === "https" && origin.upstream !== (this.#driver.site.forward?.upstream ?? null);
  }
}

/** Stands for a request that could not be read: the log shows it as "-". */
function unread(): RequestMessage {
  const request = new RequestMessage();
  request.method = "-";
  return request;
}

function timeout(what: string): ProxyError {
  return new ProxyError("http_request_error", what, { status: 408 });
}
