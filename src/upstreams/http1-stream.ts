/**
 * One HTTP/1.1 connection to an upstream, and the stream on it: one request at a time, so the two are the same object and
 * a request on a pooled connection allocates nothing here.
 *
 * The stream is reusable only when both messages ended where their framing said, nothing came behind the answer, and
 * neither side asked to close. Anything else closes the connection: bytes that could belong to another answer never do.
 * One on which a user was authenticated for good (NTLM) is reusable for the same client's connection only.
 *
 * Long, because request and answer share one state: whether the connection may serve another is known from both alone. How the
 * bodies are framed is BodyWriter's and BodyReader's.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { FIELD_PROXY_AUTHORIZATION } from "../core/field-names.ts";
import { acquireStorage, type FieldBlock, releaseStorage } from "../core/fields.ts";
import {
  FIELDS_MAX,
  HEAD_BYTES_MAX,
  INFORMATIONAL_MAX,
  QUEUE_HIGH_WATER_BYTES,
  REQUEST_LINE_BYTES_MAX,
  SPLICE_BYTES_MIN,
} from "../core/limits.ts";
import { BODY_UNTIL_END, type RequestMessage, ResponseMessage } from "../core/message.ts";
import type { Connection, ConnectionHandler, Splice, SpliceHandler } from "../core/ports.ts";
import type { ClientConnection } from "../pipeline/exchange.ts";
import type { Destination } from "../pipeline/forwarding.ts";
import type { BodySplice } from "../pipeline/splice.ts";
import type { Sender, UpstreamHandler, UpstreamStream, UpstreamUse } from "../pipeline/upstream.ts";
import { BodyReader } from "../protocol/http1/body-reader.ts";
import { BodyWriter } from "../protocol/http1/body-writer.ts";
import { connectionOptions, isPersistent, keepAliveMs } from "../protocol/http1/connection.ts";
import { encodeRequestHead, SEND_CHUNKED, SEND_LENGTH } from "../protocol/http1/encode.ts";
import { responseError } from "../protocol/http1/errors.ts";
import { announcesBodyOf204, BodyFraming, responseFraming } from "../protocol/http1/framing.ts";
import { headMayBeComplete } from "../protocol/http1/request-head.ts";
import { parseResponseHead, ResponseHead } from "../protocol/http1/response-head.ts";
import { asksToAuthenticateConnection, authenticatesConnection } from "../semantics/connection-auth.ts";
import { clientOf } from "./pinned-streams.ts";

/** What the owner, a pool, wants to know of its connections. */
export interface StreamOwner {
  /** The connection serves a request, or is about to. */
  onLent(): void;
  /** The exchange is over and the connection may serve another one. `keepAliveMs`: what the upstream said; null: nothing. */
  onReusable(stream: Http1Stream, keepAliveMs: number | null): void;
  /** The upstream answers, if only in the interim. */
  onAnswer(): void;
  /** The upstream closed the connection where the answer to this handler's request should have come: `onGone` follows. */
  onUnanswered(stream: Http1Stream, handler: UpstreamHandler, error: ProxyError): void;
  /** The upstream did not answer a request as it should, and it was not that the connection had died while it rested. */
  onBadAnswer(): void;
  /** The upstream closed the connection while it rested: `onGone` follows. */
  onClosedAtRest(stream: Http1Stream): void;
  /** It rests for one client alone, or does so no more. */
  onPinned(isPinned: boolean): void;
  /** The connection is gone. Called once. */
  onGone(stream: Http1Stream): void;
}

/** A server that sends requests on to where they name: each is in absolute form (RFC 9112 section 3.2.2). */
export interface ProxyServer {
  /** Behind the fields of each request, with its line break: Proxy-Authorization; "": nothing. A secret. */
  readonly line: string;
  /** It answered 407: it wants credentials, or others than it was given. */
  refused(): ProxyError;
}

const IDLE = 0;
const SENDING = 1;
const BODY = 2;
/** The connection serves a tunnel: it still counts against the server's maximum. */
const SWITCHED = 3;
const GONE = 4;

const HEAD_LIMITS = {
  headBytesMax: HEAD_BYTES_MAX,
  requestLineBytesMax: REQUEST_LINE_BYTES_MAX,
  fieldsMax: FIELDS_MAX,
};
const head = new ResponseHead();
const framing = new BodyFraming();

export class Http1Stream implements UpstreamStream, ConnectionHandler, SpliceHandler {
  readonly address: string;
  readonly authority: string;
  reused = false;
  /** The pool: it is among those that rest. */
  isResting = false;
  /** Answers behind which it came to rest. */
  answers = 0;
  /** Monotonic time of the last of them; -Infinity: there was none. */
  answeredAtMs = Number.NEGATIVE_INFINITY;
  /** Monotonic time after which it takes no new request. */
  readonly expiresMs: number;
  /** The server may take whatever comes on it for the same user's: it is for no other client any more. */
  isBound = false;
  /** Whose it is when it is bound; null: nobody's, as it cannot be told which requests are the same client's. */
  boundTo: ClientConnection | null = null;

  readonly #connection: Connection;
  readonly #owner: StreamOwner;
  /** null: it is the origin, or stands for it. */
  readonly #proxy: ProxyServer | null;
  readonly #deadlines: DeadlineWheel;
  readonly #deadline: Deadline;
  #handler: UpstreamHandler | null = null;
  #state = IDLE;
  readonly #partial = new ByteQueue();
  #searched = 0;

  #sender: Sender | null = null;
  #use: UpstreamUse | null = null;
  #method = "";
  #upgrade: string | null = null;
  readonly #requestBody = new BodyWriter();
  #requestEnded = false;
  #informational = 0;
  #queuedAtDeadline = 0;

  readonly #answerBody = new BodyReader();
  /** Of what is to come of it, what passes to the client unseen. */
  #splice: BodySplice | null = null;
  #persistent = true;
  #keepAliveMs: number | null = null;
  #answered = false;
  #paused = false;

  constructor(
    connection: Connection,
    owner: StreamOwner,
    deadlines: DeadlineWheel,
    place: {
      readonly address: string;
      readonly authority: string;
      readonly expiresMs: number;
      readonly proxy: ProxyServer | null;
    },
  ) {
    this.#connection = connection;
    this.#owner = owner;
    this.address = place.address;
    this.authority = place.authority;
    this.expiresMs = place.expiresMs;
    this.#proxy = place.proxy;
    this.#deadlines = deadlines;
    this.#deadline = new Deadline(deadlines, () => this.#onDeadline());
    connection.handler = this;
  }

  /** The pool: the next exchange has it. */
  lend(handler: UpstreamHandler): void {
    this.#handler = handler;
    this.#requestEnded = this.#answered = this.#paused = false;
    this.#informational = 0;
    this.#deadline.disarm();
    this.#owner.onLent();
  }

  /** The pool: keeps it idle for that long. */
  rest(idleMs: number): void {
    this.#handler = this.#sender = null;
    this.reused = true;
    if (this.#answered) {
      this.answers++;
      this.answeredAtMs = this.#deadlines.coarseMs;
    }
    this.#deadline.arm(idleMs);
  }

  /** The pool: closes it, idle or not. */
  close(): void {
    if (this.#handler !== null) {
      return this.#fail(
        new ProxyError("destination_unavailable", `${this.address}: the pool was closed`, {
          side: "proxy",
          retryable: false,
        }),
        false,
      );
    }
    this.#connection.destroy();
    this.#gone();
  }

  get usable(): boolean {
    return this.#state === IDLE && !this.#connection.closed;
  }

  // ------------------------------------------------------------------------------------------- the request

  sendHead(sender: Sender, upgrade: string | null, use: UpstreamUse): void {
    if (this.#state === GONE) return;
    const request: RequestMessage = sender.request;
    this.#state = SENDING;
    this.#sender = sender;
    this.#use = use;
    if (authenticatesConnection(request.fields)) this.#bind();
    this.#method = request.method;
    this.#upgrade = upgrade;
    this.#requestBody.begin(request.bodyBytes === BODY_UNTIL_END ? SEND_CHUNKED : SEND_LENGTH, request.bodyBytes);
    const proxy = this.#proxy;
    if (proxy === null) encodeRequestHead(this.#connection, request, upgrade, request.wantsTrailers);
    else {
      // The credentials are the proxy's own: whatever features have put there goes.
      if (proxy.line !== "") request.fields.deleteId(FIELD_PROXY_AUTHORIZATION);
      const through = { origin: originOf(sender.forward!.destination), line: proxy.line };
      encodeRequestHead(this.#connection, request, upgrade, request.wantsTrailers, through);
    }
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#state >= SWITCHED || this.#requestEnded) return;
    const connection = this.#connection;
    if (!this.#requestBody.write(connection, bytes, start, end)) return this.#fail(wrongLength("longer"), false);
    const { queuedBytes } = connection;
    if (!this.#answered && queuedBytes > QUEUE_HIGH_WATER_BYTES) {
      this.#queuedAtDeadline = queuedBytes;
      if (!this.#deadline.armed) this.#deadline.arm(this.#use!.bodyTimeoutMs);
    }
  }

  end(trailers: FieldBlock | null): void {
    if (this.#state >= SWITCHED || this.#requestEnded) return;
    if (!this.#requestBody.end(this.#connection, trailers)) return this.#fail(wrongLength("shorter"), false);
    this.#requestEnded = true;
    // The answer may have begun before the request ended; then its own progress counts.
    if (this.#answered) return;
    this.#queuedAtDeadline = this.#connection.queuedBytes;
    this.#deadline.arm(this.#use!.responseTimeoutMs);
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  spliceFrom(from: Connection, bytes: number, giver: SpliceHandler): Splice | null {
    if (this.#state >= SWITCHED || this.#requestEnded || !this.#requestBody.mayPass(bytes)) return null;
    return from.spliceTo(this.#connection, bytes, giver);
  }

  onBodySpliced(bytes: number): void {
    this.#requestBody.passed(bytes);
  }

  pause(): void {
    if (this.#state >= SWITCHED || this.#paused) return;
    this.#paused = true;
    // Who is paused cannot be late: the client's own deadline counts meanwhile.
    if (this.#answered) this.#deadline.disarm();
    this.#connection.pause();
  }

  resume(): void {
    if (this.#state >= SWITCHED || !this.#paused) return;
    this.#paused = false;
    if (this.#answered) this.#deadline.arm(this.#use!.bodyTimeoutMs);
    this.#connection.resume();
  }

  /** It rests for one client alone, or does so no more. */
  pin(isPinned: boolean): void {
    this.#owner.onPinned(isPinned);
  }

  abort(by: UpstreamHandler | null): void {
    if (by !== this.#handler && this.#state !== SWITCHED) return;
    this.#handler = null;
    if (this.#state !== SWITCHED) this.#connection.destroy();
    this.#gone();
    this.#answerBody.reset();
  }

  // -------------------------------------------------------------------------------------------- the answer

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#splice !== null) this.#unsplice();
    if (this.#state === SENDING && this.#partial.length > 0) {
      const partial = this.#partial;
      partial.append(buffer, start, end);
      const from = partial.start + this.#searched;
      this.#searched = partial.length;
      if (partial.length <= HEAD_BYTES_MAX && !headMayBeComplete(partial.bytes, from, partial.end)) return;
      const bytes = partial.take();
      this.#receive(bytes, 0, bytes.length);
    } else this.#receive(buffer, start, end);
    if (this.#answerBody.left > SPLICE_BYTES_MIN) this.#offerBody();
  }

  /** The rest of a long body need not be seen, but for the last byte: it ends the answer. */
  #offerBody(): void {
    const handler = this.#handler;
    if (this.#state !== BODY || handler === null || this.#paused || this.#splice !== null) return;
    this.#splice = handler.onUpstreamBodyAhead(this.#connection, this.#answerBody.left - 1, this);
    if (this.#splice !== null) this.#deadline.disarm();
  }

  onSpliced(): void {
    this.#unsplice();
    this.#armForBody();
  }

  #unsplice(): void {
    this.#answerBody.passed(this.#splice!.end());
    this.#splice = null;
  }

  #receive(buffer: Buffer, at: number, end: number): void {
    while (at < end) {
      switch (this.#state) {
        case SENDING:
          at = this.#useHead(buffer, at, end);
          break;
        case BODY:
          at = this.#useBody(buffer, at, end);
          break;
        case IDLE:
          // Nobody asked: an answer here could only be taken for that to the next request. Who has the stream already, and has not
          // sent anything, is as well served by another one.
          if (this.#handler === null) this.close();
          else this.#fail(new ProxyError("connection_terminated", `${this.address} spoke before it was asked`), true);
          return;
        default:
          return;
      }
    }
  }

  #useHead(buffer: Buffer, at: number, end: number): number {
    const storage = acquireStorage();
    const length = parseResponseHead(buffer, at, end, storage, HEAD_LIMITS, head);
    if (length <= 0) {
      releaseStorage(storage);
      if (length < 0) this.#fail(responseError(length), false);
      else {
        this.#partial.append(buffer, at, end);
        this.#searched = end - at;
      }
      return end;
    }
    this.#owner.onAnswer();
    const response = new ResponseMessage(head.status);
    response.httpVersion = 10 + head.minor;
    response.fields.adopt(storage, head.rows, head.fieldsStart, head.fieldsEnd, head.seen);
    if (head.plainLine) response.keepStartLine();
    if (head.status === 101) {
      this.#switchProtocols(response, buffer, at + length, end);
      return end;
    }
    if (head.status < 200) {
      if (++this.#informational > INFORMATIONAL_MAX) {
        this.#fail(new ProxyError("http_protocol_error", `more than ${INFORMATIONAL_MAX} interim responses`), false);
      } else this.#handler!.onUpstreamInformational(response);
      response.fields.release();
      return at + length;
    }
    this.#beginAnswer(response, at + length < end);
    return at + length;
  }

  #beginAnswer(response: ResponseMessage, more: boolean): void {
    const { fields } = response;
    if (head.status === 407 && this.#proxy !== null) {
      fields.release();
      return this.#fail(this.#proxy.refused(), false);
    }
    if (asksToAuthenticateConnection(head.status, fields)) this.#bind();
    const failure = responseFraming(head, fields, this.#method, framing);
    if (failure < 0) {
      fields.release();
      return this.#fail(responseError(failure), false);
    }
    const options = connectionOptions(fields, head.seen, head.minor);
    this.#persistent = isPersistent(options, head.minor) && !announcesBodyOf204(head, fields);
    this.#keepAliveMs = this.#persistent ? keepAliveMs(fields) : null;
    this.#answered = true;
    const body = this.#answerBody;
    body.begin(framing);
    this.#state = BODY;
    response.bodyBytes = body.bodyBytes;
    if (body.isUntilClose) {
      this.#persistent = false;
      response.endIsUnsure = this.#connection.tls !== null;
    }
    const { ended } = body;
    if (!ended) this.#armForBody();
    this.#handler!.onUpstreamHead(response);
    if (ended && this.#state === BODY) this.#endAnswer(null, more);
  }

  /** From here on it is the client's who has authenticated on it. */
  #bind(): void {
    if (!this.isBound) this.boundTo = clientOf(this.#sender!);
    this.isBound = true;
  }

  #useBody(buffer: Buffer, at: number, end: number): number {
    const body = this.#answerBody;
    const next = body.next(buffer, at, end);
    if (next < 0) {
      this.#fail(responseError(next), false);
      return end;
    }
    if (body.dataEnd > body.dataStart) {
      if (!body.ended) this.#armForBody();
      this.#handler!.onUpstreamBody(buffer, body.dataStart, body.dataEnd);
    }
    if (body.ended && this.#state === BODY) this.#endAnswer(body.giveTrailers(), next < end);
    return next;
  }

  /** The answer goes on. Who is paused in the middle of what had arrived is not late with the rest. */
  #armForBody(): void {
    if (!this.#paused) this.#deadline.arm(this.#use!.bodyTimeoutMs);
  }

  /** The answer is complete; `more` bytes came behind it, which nobody asked for. */
  #endAnswer(trailers: FieldBlock | null, more: boolean): void {
    const handler = this.#handler!;
    this.#handler = null;
    this.#deadline.disarm();
    // Whoever waits for the connection has it before this answer's end is told, and may have failed by then.
    this.#answerBody.reset();
    if (this.#persistent && this.#requestEnded && !more && !this.#connection.closed) {
      this.#state = IDLE;
      if (this.#paused) {
        this.#paused = false;
        this.#connection.resume();
      }
      this.#owner.onReusable(this, this.#keepAliveMs);
    } else {
      this.#connection.destroy();
      this.#gone();
    }
    handler.onUpstreamEnd(trailers);
    trailers?.release();
  }

  #switchProtocols(response: ResponseMessage, buffer: Buffer, at: number, end: number): void {
    const switched = response.fields.get("upgrade")?.toLowerCase() ?? null;
    if (this.#upgrade === null || switched !== this.#upgrade) {
      response.fields.release();
      const what = this.#upgrade === null ? "nobody asked for" : "that was not asked for";
      return this.#fail(new ProxyError("http_upgrade_failed", `the upstream switched to a protocol ${what}`), false);
    }
    const handler = this.#handler!;
    this.#handler = null;
    const connection = this.#connection;
    // The connection is the handler's from now on; the stream only holds its place until it is aborted.
    connection.handler = UNOWNED;
    connection.pause();
    this.#deadline.disarm();
    this.#state = SWITCHED;
    handler.onUpstreamSwitch(response, connection, Buffer.from(buffer.subarray(at, end)));
  }

  // ----------------------------------------------------------------------------------------------- the end

  onDrain(): void {
    if (!this.#answered && this.#handler !== null) {
      if (this.#requestEnded) this.#deadline.arm(this.#use!.responseTimeoutMs);
      else this.#deadline.disarm();
    }
    this.#handler?.onUpstreamDrain();
  }

  onEnd(): void {
    if (this.#state === GONE) return;
    if (this.#state === BODY && this.#answerBody.isUntilClose) {
      this.#persistent = false;
      this.#endAnswer(null, false);
    } else if (this.#handler === null) {
      this.#owner.onClosedAtRest(this);
      this.close();
    } else this.#fail(this.#closedEarly(), true);
  }

  onClose(error: ProxyError | null): void {
    if (this.#state === GONE) return;
    if (this.#handler === null) {
      this.#owner.onClosedAtRest(this);
      this.#gone();
    } else this.#fail(error ?? this.#closedEarly(), true);
  }

  #closedEarly(): ProxyError {
    if (this.#answered)
      return new ProxyError("http_response_incomplete", `${this.address} closed in the middle of its answer`);
    if (this.#partial.length > 0) {
      return new ProxyError("http_response_incomplete", `${this.address} closed in the middle of its answer's head`);
    }
    return new ProxyError("connection_terminated", `${this.address} closed the connection without an answer`);
  }

  #onDeadline(): void {
    if (this.#state === IDLE) return this.close();
    if (this.#answered) {
      return this.#fail(
        new ProxyError("connection_read_timeout", `${this.address}: its answer did not go on in time`),
        false,
      );
    }
    const { queuedBytes } = this.#connection;
    const { bodyTimeoutMs, responseTimeoutMs } = this.#use!;
    if (queuedBytes > 0 && queuedBytes < this.#queuedAtDeadline) {
      // The request still leaves, as slowly as the upstream reads.
      this.#queuedAtDeadline = queuedBytes;
      return this.#deadline.arm(this.#requestEnded ? responseTimeoutMs : bodyTimeoutMs);
    }
    const error =
      queuedBytes > 0
        ? new ProxyError("connection_write_timeout", `${this.address} does not read the request`)
        : new ProxyError("http_response_timeout", `${this.address}: it did not answer in time`);
    this.#fail(error, false);
  }

  /** `byPeer`: the connection went away by itself; an answer that had not begun may then be asked for again. */
  #fail(error: ProxyError, byPeer: boolean): void {
    const handler = this.#handler;
    const unanswered = byPeer && !this.#answered && this.#partial.length === 0 && this.#informational === 0;
    this.#handler = null;
    this.#connection.destroy();
    if (handler !== null && error.side === "upstream" && !(unanswered && this.reused)) this.#owner.onBadAnswer();
    if (unanswered && handler !== null) this.#owner.onUnanswered(this, handler, error);
    this.#gone();
    this.#answerBody.reset();
    handler?.onUpstreamError(error, unanswered);
  }

  #gone(): void {
    if (this.#state === GONE) return;
    this.#state = GONE;
    this.#sender = null;
    this.#deadline.dispose();
    this.#partial.clear();
    this.#owner.onGone(this);
  }
}

/** The scheme and the authority of where a request is to go. */
function originOf({ host, port }: Destination): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === 80 ? `http://${name}` : `http://${name}:${port}`;
}

/** For the moment between two owners: the connection is paused, so only its end can be told, and `closed` keeps that. */
const UNOWNED: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };

function wrongLength(how: string): ProxyError {
  return new ProxyError("proxy_internal_error", `the request's body is ${how} than the length that was announced`);
}
