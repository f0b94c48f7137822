/**
 * Requests of the proxy's own, such as to an authentication service, on the same pools as everybody's: what is true of
 * connections, TLS, names and limits there is true here. A call is answered whole or fails; one deadline bounds all of
 * it, and whoever made it may give it up in any state. What it holds then goes back at once.
 *
 * Another attempt follows the rules of exchanges: before anything was sent, or when the connection went away without a
 * byte of an answer and the method is idempotent. It decides nothing about what an answer means.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import { Deadline, type DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import { FIELD_CONTENT_LENGTH, FIELD_HOST } from "../core/field-names.ts";
import { RETRIES_MAX } from "../core/limits.ts";
import { RequestMessage, type ResponseMessage } from "../core/message.ts";
import type { Connection, HttpAnswerHandler, HttpCall, HttpClient, PendingCall } from "../core/ports.ts";
import { removeHopByHop } from "../semantics/hop-by-hop.ts";
import { isIdempotent } from "../semantics/idempotent.ts";
import type { Lessor, Sender, Upstream, UpstreamHandler, UpstreamStream, UpstreamUse } from "./upstream.ts";

/** The deadline of the call is the one that counts: those of the stream only stand behind it. */
const STREAM_TIMEOUT_MS = 3_600_000;

const USE: UpstreamUse = {
  host: "upstream",
  responseTimeoutMs: STREAM_TIMEOUT_MS,
  bodyTimeoutMs: STREAM_TIMEOUT_MS,
  retriesMax: RETRIES_MAX,
};

/** Calls over one pool. */
export class UpstreamClient implements HttpClient {
  readonly #upstream: Upstream;
  readonly #deadlines: DeadlineWheel;

  constructor(upstream: Upstream, deadlines: DeadlineWheel) {
    this.#upstream = upstream;
    this.#deadlines = deadlines;
  }

  /** Throws TypeError when method or target could not stand in a request line; the fields are released then too. */
  send(call: HttpCall, handler: HttpAnswerHandler): PendingCall {
    const sent = new Call(this.#upstream, this.#deadlines, call, handler);
    sent.begin();
    return sent;
  }
}

class Call implements Sender, UpstreamHandler, PendingCall {
  readonly request: RequestMessage;
  attempts = 0;
  readonly retriesMax = USE.retriesMax;
  readonly clientAddress = "";
  readonly #upstream: Upstream;
  readonly #call: HttpCall;
  readonly #handler: HttpAnswerHandler;
  readonly #deadline: Deadline;
  /** The caller has named none: it is that of the server that each attempt goes to. */
  readonly #isHostOurs: boolean;
  #isLeasing = false;
  /** Whom a stream was asked of last. */
  #lessor: Lessor | null = null;
  #stream: UpstreamStream | null = null;
  #answer: ResponseMessage | null = null;
  #body: ByteQueue | null = null;
  #bodyBytes = 0;
  #isOver = false;

  constructor(upstream: Upstream, deadlines: DeadlineWheel, call: HttpCall, handler: HttpAnswerHandler) {
    this.#upstream = upstream;
    this.#call = call;
    this.#handler = handler;
    this.#deadline = new Deadline(deadlines, () => this.#onLate());
    const request = new RequestMessage(call.fields);
    try {
      const query = call.target.indexOf("?");
      if (query < 0) request.setTarget(call.target, null);
      else request.setTarget(call.target.slice(0, query), call.target.slice(query + 1));
      request.method = call.method;
    } catch (error) {
      call.fields.release();
      throw error;
    }
    request.bodyBytes = call.body === null ? 0 : call.body.length;
    this.request = request;
    this.#isHostOurs = call.fields.rowOfId(FIELD_HOST) < 0;
  }

  begin(): void {
    this.#deadline.arm(this.#call.timeoutMs);
    this.#lease();
  }

  cancel(): void {
    if (!this.#isOver) this.#release();
  }

  #lease(): void {
    this.attempts++;
    this.#isLeasing = true;
    this.#lessor = this.#upstream.lease(this, this);
  }

  onStream(stream: UpstreamStream): void {
    this.#isLeasing = false;
    this.#stream = stream;
    const { request } = this;
    if (this.#isHostOurs) request.fields.set("Host", stream.authority);
    stream.sendHead(this, null, USE);
    const { body } = this.#call;
    // Where the stream fails meanwhile, it takes no notice of what is still written.
    if (body !== null && body.length > 0) {
      stream.write(Buffer.from(body.buffer, body.byteOffset, body.length), 0, body.length);
    }
    stream.end(null);
  }

  onLeaseFailed(error: ProxyError): void {
    this.#isLeasing = false;
    this.#retryOrFail(error, true);
  }

  onUpstreamError(error: ProxyError, unanswered: boolean): void {
    this.#stream = null;
    if (this.#isOver) return;
    if (unanswered && this.#answer === null) this.#retryOrFail(error, false);
    else this.#fail(error);
  }

  /** As for exchanges (RFC 9110 section 9.2.2): the budget is asked last, since what it grants is taken. */
  #retryOrFail(error: ProxyError, nothingSent: boolean): void {
    if (this.#isOver) return;
    const isSafe = nothingSent || isIdempotent(this.request.method);
    const helps = error.retryable && this.attempts <= this.retriesMax;
    if (isSafe && helps && this.#lessor?.allowRetry(this, nothingSent) === true) this.#lease();
    else this.#fail(error);
  }

  onUpstreamInformational(_response: ResponseMessage): void {}

  onUpstreamHead(response: ResponseMessage): void {
    removeHopByHop(response.fields);
    response.fields.deleteId(FIELD_CONTENT_LENGTH);
    this.#answer = response;
    if (response.bodyBytes > this.#call.answerBytesMax) this.#failTooLarge();
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    // Of an answer that has been refused, more may come in the call that brought its head.
    if (this.#isOver) return;
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > this.#call.answerBytesMax) return this.#failTooLarge();
    this.#body ??= new ByteQueue();
    this.#body.append(bytes, start, end);
  }

  onUpstreamBodyAhead(): null {
    return null;
  }

  onUpstreamEnd(): void {
    this.#stream = null;
    const answer = this.#answer;
    if (this.#isOver || answer === null) return;
    const body = this.#body === null ? EMPTY : this.#body.take();
    // From here on the fields are the receiver's.
    this.#answer = null;
    this.#release();
    this.#handler.onAnswer({ status: answer.status, fields: answer.fields, body });
  }

  /** Never asked for: the stream refuses such an answer before it comes here. */
  onUpstreamSwitch(response: ResponseMessage, connection: Connection): void {
    response.fields.release();
    connection.destroy(undefined, true);
    this.#fail(new ProxyError("http_upgrade_failed", `${this.#upstream.name} switched to another protocol`));
  }

  onUpstreamDrain(): void {}

  #onLate(): void {
    const { timeoutMs } = this.#call;
    this.#fail(
      new ProxyError("http_response_timeout", `${this.#upstream.name}: no whole answer within ${timeoutMs} ms`),
    );
  }

  #failTooLarge(): void {
    const { answerBytesMax } = this.#call;
    const message = `${this.#upstream.name}: its answer is larger than ${answerBytesMax} bytes`;
    this.#fail(new ProxyError("http_response_body_size", message));
  }

  #fail(error: ProxyError): void {
    this.#release();
    this.#handler.onFailed(error);
  }

  /** Gives back whatever the call holds, in any state. */
  #release(): void {
    this.#isOver = true;
    this.#deadline.dispose();
    if (this.#isLeasing) this.#lessor?.cancel(this);
    this.#isLeasing = false;
    const stream = this.#stream;
    this.#stream = null;
    stream?.abort(this);
    this.request.fields.release();
    this.#answer?.fields.release();
    this.#answer = null;
    this.#body = null;
  }
}

const EMPTY = Buffer.alloc(0);
