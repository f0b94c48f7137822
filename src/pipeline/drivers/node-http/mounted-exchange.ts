/**
 * One request and response of Node's, as the client's side of an exchange. Node frames the answer; this decides which
 * fields it bears, how pressure, aborts and deadlines get from one side to the other, and never answers by itself.
 *
 * Fields that the program has set on the response stay unless the answer has its own; Set-Cookie and Vary add up.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Deadline } from "../../../core/deadlines.ts";
import { ProxyError } from "../../../core/errors.ts";
import { acquireStorage, type FieldBlock, releaseStorage } from "../../../core/fields.ts";
import { BODY_PROGRESS_TIMEOUT_MS, QUEUE_HIGH_WATER_BYTES } from "../../../core/limits.ts";
import { BODY_UNTIL_END, RequestMessage, type ResponseMessage } from "../../../core/message.ts";
import type { Address, TlsInfo } from "../../../core/ports.ts";
import { expectContinue } from "../../../protocol/http1/connection.ts";
import { requestError } from "../../../protocol/http1/errors.ts";
import { BodyFraming, FRAMING_CHUNKED, FRAMING_LENGTH, requestFraming } from "../../../protocol/http1/framing.ts";
import { parseRequestHead, RequestHead } from "../../../protocol/http1/request-head.ts";
import { acceptsTrailers } from "../../../semantics/hop-by-hop.ts";
import type { Downstream, TakenOver } from "../../downstream.ts";
import {
  clientDoesNotRead,
  clientGone,
  proxyClosed,
  requestBodyLate,
  requestBodyNotAskedFor,
  wrongLength,
} from "../../faults.ts";
import { Life } from "../../life.ts";
import type { Site } from "../../site.ts";
import { type BodyReceiver, ReceivedBody } from "./received-body.ts";
import { encodeReceivedHead } from "./received-head.ts";
import { linesByName, objectOf, trailersOf } from "./sent-fields.ts";
import { localAddress, remoteAddress, tlsInfo } from "./socket-facts.ts";

/** RFC 9113, section 7: INTERNAL_ERROR. */
const HTTP2_INTERNAL_ERROR = 2;

/** The answer has no body; a body of known length; one that ends when it ends. */
const SEND_NOTHING = 0;
const SEND_LENGTH = 1;
const SEND_UNTIL_END = 2;

const head = new RequestHead();
const framing = new BodyFraming();

export class MountedExchange implements Downstream, BodyReceiver {
  readonly local: Address;
  readonly remote: Address;
  readonly tls: TlsInfo | null;
  readonly #site: Site;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #isHttp2: boolean;
  readonly #deadline: Deadline;
  #life: Life | null = null;
  /** null: the request has none. */
  #body: ReceivedBody | null = null;
  #expectsContinue = false;

  #sending = SEND_NOTHING;
  #sendLeft = 0;
  #answered = false;
  /** Node has said that it is full; "drain" will follow. */
  #full = false;
  #queuedAtDeadline = 0;
  #bodyTimeoutMs = BODY_PROGRESS_TIMEOUT_MS;
  readonly #onClosed: (exchange: MountedExchange) => void;

  /** `onClosed` is called when the response is closed: nothing comes after. */
  constructor(
    site: Site,
    request: IncomingMessage,
    response: ServerResponse,
    onClosed: (exchange: MountedExchange) => void,
  ) {
    this.#onClosed = onClosed;
    this.#site = site;
    this.#request = request;
    this.#response = response;
    this.#isHttp2 = request.httpVersionMajor === 2;
    this.remote = remoteAddress(request.socket);
    this.local = localAddress(request.socket);
    this.tls = tlsInfo(request.socket);
    this.#deadline = new Deadline(site.deadlines, () => this.#onDeadline());
  }

  // ----------------------------------------------------------------------------------------- from the client

  begin(): void {
    const response = this.#response;
    response.once("close", () => this.#closed());
    // In HTTP/2 the response to a HEAD tells nothing when its stream closes before it is ended.
    if (this.#isHttp2) (response as unknown as Http2ServerResponse).stream?.once("close", () => this.#closed());
    response.on("drain", () => this.#drained());
    // Both tell what "close" tells too, but an error that nobody listens to ends the process.
    response.on("error", () => {});
    this.#request.on("error", () => {});

    const request = new RequestMessage();
    const error = this.#readHead(request) ?? this.#readFraming(request);
    const life = new Life(this.#site, this, request, this.#site.clock.now());
    this.#life = life;
    if (this.#isGone) this.#closed();
    else if (error !== null) life.fail(error);
    else life.begin();
  }

  get #isGone(): boolean {
    // Reset by its peer, which Node may not have seen yet: nobody knows whose it was, and no rule about clients would hold for it.
    if (this.remote.family === 0 && this.local.family !== 0) return true;
    if (this.#isHttp2) return (this.#request as unknown as Http2ServerRequest).stream.destroyed;
    return this.#response.destroyed || this.#request.socket.destroyed;
  }

  #readHead(request: RequestMessage): ProxyError | null {
    const storage = acquireStorage();
    const bytes = encodeReceivedHead(this.#request);
    const length = parseRequestHead(bytes, 0, bytes.length, storage, this.#site.limits, head);
    if (length <= 0) {
      releaseStorage(storage);
      request.method = "-";
      return requestError(length);
    }
    request.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
    request.method = head.method;
    request.form = head.form;
    request.httpVersion = this.#isHttp2 ? 20 : 10 + head.minor;
    request.scheme = this.tls === null ? "http" : "https";
    request.plainPath = head.plainPath;
    request.setTargetRange(head.targetStart, head.pathEnd, head.targetEnd);
    request.wantsTrailers = request.httpVersion > 10 && acceptsTrailers(request.fields);
    return null;
  }

  /** How long the body is, and where it comes from; or why it cannot be had. */
  #readFraming(request: RequestMessage): ProxyError | null {
    const { fields } = request;
    const failure = requestFraming(head, fields, framing);
    if (failure < 0) return requestError(failure);
    const expectation = expectContinue(fields, head.seen, head.minor);
    if (expectation < 0) return requestError(expectation);
    this.#expectsContinue = expectation === 1;

    if (framing.kind === FRAMING_LENGTH) request.bodyBytes = framing.length;
    else if (framing.kind === FRAMING_CHUNKED || this.#hasUnframedBody) request.bodyBytes = BODY_UNTIL_END;
    if (request.bodyBytes === 0) return null;
    const body = ReceivedBody.of(this.#request, fields, this);
    if (body instanceof ProxyError) return body;
    this.#body = body;
    if (body.wholeBytes !== null) request.bodyBytes = body.wholeBytes;
    return null;
  }

  /** HTTP/2 frames a body without a field: only the end of the stream tells. */
  get #hasUnframedBody(): boolean {
    return this.#isHttp2 && !(this.#request as unknown as Http2ServerRequest).stream.endAfterHeaders;
  }

  startRequestBody(): void {
    this.#bodyTimeoutMs = this.#life!.bodyTimeoutMs;
    this.#deadline.arm(this.#bodyTimeoutMs);
    this.#body?.start();
  }

  pauseRequestBody(): void {
    if (this.#body === null || this.#body.ended) return;
    this.#body.pause();
    this.#watchClient();
  }

  resumeRequestBody(): void {
    if (this.#body === null || this.#body.ended) return;
    this.#deadline.arm(this.#bodyTimeoutMs);
    this.#body.resume();
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#expectsContinue = false;
    this.#deadline.arm(this.#bodyTimeoutMs);
    this.#life?.onRequestBody(bytes, start, end);
  }

  onBodyEnd(trailers: FieldBlock | null): void {
    this.#watchClient();
    this.#life?.onRequestEnd(trailers);
  }

  onBodyInvalid(error: ProxyError): void {
    this.#life?.fail(error);
  }

  #closed(): void {
    this.#deadline.dispose();
    this.#onClosed(this);
    const life = this.#life;
    this.#life = null;
    life?.onClientGone(clientGone());
  }

  #drained(): void {
    this.#full = false;
    if (this.#life === null) return;
    this.#watchClient();
    this.#life.onClientDrain();
  }

  // ------------------------------------------------------------------------------------------- to the client

  /** Node's own mark decides when the client is slow: below it no "drain" would come. */
  get queuedBytes(): number {
    return this.#full ? Math.max(this.#response.writableLength, QUEUE_HIGH_WATER_BYTES + 1) : 0;
  }

  /** Node frames the answer: nothing passes it by. */
  spliceFrom(): null {
    return null;
  }

  sendFile(): boolean {
    return false;
  }

  get unsentBytes(): number {
    return this.queuedBytes;
  }

  onBodySpliced(): void {}

  sendInformational(informational: ResponseMessage): void {
    const response = this.#response;
    const { status, fields } = informational;
    if (this.#request.httpVersion === "1.0") return;
    try {
      if (status === 100) {
        if (this.#expectsContinue && !this.#sentContinue) response.writeContinue();
        this.#expectsContinue = false;
        return;
      }
      const object = objectOf(fields, this.#isHttp2);
      if (typeof response.writeInformation === "function") response.writeInformation(status, object);
      else if (status === 103) {
        (response as ServerResponse).writeEarlyHints({ ...object, link: fields.getAll("link") });
      }
    } catch {
      // Node is stricter with some fields than with those of an answer. The client can do without this one.
    }
  }

  /** Node asks for the body by itself, unless the program listens to "checkContinue". */
  get #sentContinue(): boolean {
    if (!this.#isHttp2) return (this.#response as { _sent100?: boolean })._sent100 === true;
    const { stream } = this.#response as unknown as Http2ServerResponse;
    return stream.sentInfoHeaders?.some((fields) => fields[":status"] === 100) ?? false;
  }

  sendHead(answer: ResponseMessage): void {
    const { status, bodyBytes, fields } = answer;
    const response = this.#response;
    this.#answered = true;
    this.#queuedAtDeadline = Number.POSITIVE_INFINITY;
    this.#bodyTimeoutMs = this.#life!.bodyTimeoutMs;
    if (this.#request.method === "HEAD" || status === 204 || status === 304) this.#sending = SEND_NOTHING;
    else this.#sending = bodyBytes === BODY_UNTIL_END ? SEND_UNTIL_END : SEND_LENGTH;
    this.#sendLeft = this.#sending === SEND_LENGTH ? bodyBytes : 0;
    if (this.#sending === SEND_LENGTH) fields.set("Content-Length", String(bodyBytes));
    else if (this.#sending === SEND_UNTIL_END || status === 204) fields.delete("content-length");

    // It announces what comes behind chunks. Where there are none, Node throws.
    const isChunked = this.#sending === SEND_UNTIL_END && this.#request.httpVersion === "1.1";
    if (!this.#isHttp2 && !isChunked) fields.delete("trailer");

    for (const [name, value] of linesByName(fields, this.#isHttp2)) {
      const lower = name.toLowerCase();
      if (lower !== "set-cookie" && lower !== "vary") response.removeHeader(name);
      response.appendHeader(name, value);
    }
    // As clients have to take what no class of statuses contains (RFC 9110, section 15); Node has none of them in HTTP/2.
    response.writeHead(this.#isHttp2 && status > 599 ? 500 : status);
    // The body may be long in coming: an event stream begins with silence.
    response.flushHeaders();
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.#sending === SEND_NOTHING) return;
    if (this.#sending === SEND_LENGTH) {
      this.#sendLeft -= end - start;
      if (this.#sendLeft < 0) {
        this.#life?.fail(wrongLength("longer"));
        return;
      }
    }
    // Node keeps what it cannot send yet, and the bytes are ours during this call only.
    if (this.#response.write(Buffer.from(bytes.subarray(start, end)))) {
      // Who takes an answer need not go on with its request.
      if (this.#body?.flowing) this.#deadline.arm(this.#bodyTimeoutMs);
      return;
    }
    this.#full = true;
    this.#queuedAtDeadline = this.#response.writableLength;
    if (!this.#deadline.armed) this.#deadline.arm(this.#bodyTimeoutMs);
  }

  end(trailers: FieldBlock | null): void {
    if (this.#sending === SEND_LENGTH && this.#sendLeft > 0) {
      this.#life?.fail(wrongLength("shorter"));
      return;
    }
    if (trailers !== null && this.#sending === SEND_UNTIL_END && this.#life?.request.wantsTrailers === true) {
      this.#response.addTrailers(trailersOf(trailers, this.#isHttp2));
    }
    this.#response.end();
  }

  abort(_error: ProxyError): void {
    const response = this.#response;
    // One that waits behind another answer has no socket yet, and Node would still send what there is of it.
    const socket = response.socket ?? this.#request.socket;
    if (this.#isHttp2) (response as unknown as Http2ServerResponse).stream.close(HTTP2_INTERNAL_ERROR);
    // A reset, where there is one: the end of the connection may mean the end of the answer (HTTP/1.0).
    else if (this.tls === null && this.remote.family !== 0) socket.resetAndDestroy();
    else socket.destroy();
  }

  takeOver(): TakenOver {
    throw new Error("a mounted exchange has no connection to give");
  }

  onExchangeEnd(): void {
    this.#life = null;
    this.#body?.discard();
    // What is queued still has to leave; "close" ends the watch.
    if (this.#response.writableLength > 0 && !this.#response.destroyed) this.#watchProgress();
    else this.#deadline.disarm();
  }

  /** Cuts it, whatever it does. */
  destroy(): void {
    const error = proxyClosed();
    const life = this.#life;
    this.#life = null;
    this.abort(error);
    life?.onClientGone(error);
  }

  // ----------------------------------------------------------------------------------------------- deadlines

  /** The deadline is for what the client has to do: to go on with its request, or to take what was sent. */
  #watchClient(): void {
    if (this.#body?.flowing || this.#full) this.#deadline.arm(this.#bodyTimeoutMs);
    else this.#deadline.disarm();
  }

  /** Pipelined: nothing of it leaves before the answers in front have left, whatever the client reads. */
  get #waitsForTurn(): boolean {
    return !this.#isHttp2 && this.#response.socket === null;
  }

  #watchProgress(): void {
    this.#queuedAtDeadline = this.#response.writableLength;
    this.#deadline.arm(this.#bodyTimeoutMs);
  }

  #onDeadline(): void {
    const { writableLength } = this.#response;
    if (this.#answered && writableLength > 0) {
      if (writableLength < this.#queuedAtDeadline || this.#waitsForTurn) this.#watchProgress();
      else this.#giveUp(clientDoesNotRead());
    } else if (this.#body?.ended === false) this.#life?.fail(this.#bodyTimeout());
  }

  /** Whether the exchange is still going on or only its answer is under way. */
  #giveUp(error: ProxyError): void {
    if (this.#life === null) this.abort(error);
    else this.#life.fail(error);
  }

  #bodyTimeout(): ProxyError {
    // A client that keeps its body back until it is asked for it is not to blame.
    return this.#expectsContinue && !this.#sentContinue ? requestBodyNotAskedFor() : requestBodyLate();
  }
}
