/**
 * The answer's body on its way to the client: who sees it, who is held up while the client is slow, and when the last of it has
 * been handed on.
 *
 *     upstream --> held until the head was sent --.
 *     a feature's producer, or its bytes ---------+--> transforms, where a feature wants any --> client
 *     a feature's files, unseen -------------------------------------------------------------'
 *
 * It decides nothing about which answer there is: Life does, and is the one object of which this is a part. Between the two are
 * the protected methods here: those that Life calls, and the abstract ones that it is called back by. Nothing is made for a body
 * that goes straight from the upstream to the client.
 */
import { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { RequestMessage } from "../core/message.ts";
import type { Connection, Splice, SpliceHandler } from "../core/ports.ts";
import type { AnswerSink, BodyProducer, BodySink } from "./body.ts";
import type { Chain } from "./chain.ts";
import type { Downstream } from "./downstream.ts";
import { Exchange } from "./exchange.ts";
import { faultOfPart, hastyTransform } from "./guard.ts";
import { copyOf, HeldAnswer } from "./held-answer.ts";
import { ResponseBody } from "./response-body.ts";
import { SentFiles } from "./sent-files.ts";
import type { BodySplice } from "./splice.ts";

/** The head was not sent: what arrives is held. */
const AWAITED = 0;
const FLOWING = 1;
/** All of it was handed to the client's side. */
const COMPLETE = 2;

export abstract class AnswerFlow extends Exchange {
  /** The client's side of the exchange: to features it is no more than the connection. */
  declare readonly connection: Downstream;
  #flow = AWAITED;
  /** The client asked by HEAD, whatever the method that features have made of it. */
  readonly #isHead: boolean;
  /** No body follows the head, whatever there would be of one (RFC 9110 section 6.4.1). */
  #bodyless = false;
  /** null: nothing came before its time. */
  #held: HeldAnswer | null = null;
  /** null: the body goes straight from the stream, or a buffer, to the client. */
  #transformed: ResponseBody | null = null;
  /** null: none of the body is sent from files. */
  #files: SentFiles | null = null;
  /** null: none of the body passes unseen. */
  #splice: BodySplice | null = null;
  /** What comes behind a body that features transform, until they are done with it. */
  #trailers: FieldBlock | null = null;
  /** The client is slow. */
  #clientFull = false;
  /** Who takes the body of the stream wants no more for now. */
  #streamHeld = false;

  constructor(downstream: Downstream, request: RequestMessage, startedMs: number, receivedRows?: number) {
    super(downstream, request, startedMs, receivedRows);
    this.#isHead = request.method === "HEAD";
  }

  /** Stop and restart the flow of the upstream's answer; where there is no stream, they do nothing. */
  protected abstract pauseStream(): void;
  protected abstract resumeStream(): void;
  /** Bytes have begun to pass unseen. */
  protected abstract watchSplice(splice: Splice): BodySplice;
  /** The body has been handed on, and these follow. May fail the exchange. */
  protected abstract onTrailers(trailers: FieldBlock): void;
  /** The whole answer has left, or stands in the client's queue. */
  protected abstract onAnswerSent(): void;

  // ---------------------------------------------------------------------------------------------- before the head

  /**
   * Decides whether a body follows the head, and asks the features in front of `answeredBy` for their transforms. They may throw or
   * fail the exchange: an answer of the error's is still possible.
   */
  protected settleBody(chain: Chain, answeredBy: number, isForwarded: boolean): void {
    const response = this.response!;
    const { status, bodyBytes, fields } = response;
    this.#bodyless = this.#isHead || status === 204 || status === 304;
    if (this.#bodyless) {
      if (this.#isHead && !isForwarded && bodyBytes > 0) fields.set("Content-Length", String(bodyBytes));
    } else if (bodyBytes !== 0 && (chain.responseBody !== null || chain.upstreamResponseBody !== null)) {
      this.#transform(chain, answeredBy, isForwarded);
    }
  }

  #transform(chain: Chain, answeredBy: number, isForwarded: boolean): void {
    const body = this.#newResponseBody();
    // From now on, so that those that are made are told when one of them fails the exchange.
    this.#transformed = body;
    body.transform(this, chain.responseBody, "responseBody", answeredBy);
    if (isForwarded) {
      body.transform(this, chain.upstreamResponseBody, "upstreamResponseBody", answeredBy);
      body.takeFrom({ pause: () => this.#holdStream(), resume: () => this.#letStreamGo() });
    }
    if (!body.isTransformed && !body.isAbandoned) this.#transformed = null;
  }

  #newResponseBody(): ResponseBody {
    const client: BodySink = {
      write: (bytes, start, end) => {
        if (this.#takesFrom(body)) this.#toClient(bytes, start, end);
      },
      end: () => {
        if (this.#takesFrom(body)) this.#end(this.#trailers);
      },
      abort: (error) => {
        if (!body.isAbandoned) this.fail(error);
      },
    };
    const body = new ResponseBody(client, (error) => this.fail(error));
    return body;
  }

  #takesFrom(body: ResponseBody): boolean {
    if (body.isAbandoned) return false;
    if (this.#flow !== AWAITED) return true;
    this.fail(hastyTransform());
    return false;
  }

  // ------------------------------------------------------------------------------------------------- the body

  /** Sends the head, and then the body: `own`, or what the upstream has sent of its and goes on to send. */
  protected sendAnswer(own: Buffer | BodyProducer | null, isForwarded: boolean): void {
    this.#flow = FLOWING;
    this.connection.sendHead(this.response!);
    if (isForwarded) this.#releaseHeld();
    else if (!this.ended) this.#sendOwn(own);
  }

  #sendOwn(body: Buffer | BodyProducer | null): void {
    if (this.#bodyless || body === null) return this.#end(null);
    if (typeof body === "function") return this.#produce(body);
    this.#give(body, 0, body.length);
    if (!this.ended) this.#giveEnd(null);
  }

  #produce(producer: BodyProducer): void {
    this.#transformed ??= this.#newResponseBody();
    if (this.#clientFull) this.#transformed.source.pause();
    const sink: AnswerSink = {
      write: (bytes, start, end) => this.#give(bytes, start, end),
      end: (trailers = null) => this.#giveEnd(trailers),
      abort: (error) => this.#transformed?.sink.abort(error),
      sendFile: (descriptor, offset, length, onSent) => this.#fileToClient(descriptor, offset, length, onSent),
    };
    this.#transformed.produce(producer, sink);
  }

  onUpstreamBody(bytes: Buffer, start: number, end: number): void {
    if (this.#flow === AWAITED) this.#hold().write(bytes, start, end);
    else this.#give(bytes, start, end);
  }

  /** The upstream's answer is complete. */
  protected takeEnd(trailers: FieldBlock | null): void {
    if (this.#flow === AWAITED) this.#hold().end(trailers);
    else this.#giveEnd(trailers);
  }

  #hold(): HeldAnswer {
    this.#held ??= new HeldAnswer();
    return this.#held;
  }

  /** What arrived while hooks waited, then the rest as it comes. */
  #releaseHeld(): void {
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      for (const bytes of held.body) if (!this.ended) this.#give(bytes, 0, bytes.length);
      if (held.ended && !this.ended) this.#giveEnd(held.trailers);
      held.release();
    }
    if (!this.#streamHeld) this.resumeStream();
  }

  /** A part of the body, on its way to the client. */
  #give(bytes: Buffer, start: number, end: number): void {
    if (this.#transformed === null) this.#toClient(bytes, start, end);
    else this.#transformed.sink.write(bytes, start, end);
  }

  #giveEnd(trailers: FieldBlock | null): void {
    if (this.#transformed === null) return this.#end(trailers);
    this.#trailers = copyOf(trailers);
    this.#transformed.sink.end();
  }

  #toClient(bytes: Buffer, start: number, end: number): void {
    // An empty chunk would be the last one.
    if (this.ended || this.#flow === COMPLETE || this.#bodyless || end <= start) return;
    const fault = faultOfPart(bytes, start, end);
    if (fault !== null) return this.fail(fault);
    const { connection } = this;
    connection.write(bytes, start, end);
    this.responseBodyBytes += end - start;
    if (connection.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.onClientFull();
  }

  #fileToClient(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    // Whoever transforms it sees every byte.
    if (this.ended || this.#flow === COMPLETE || this.#transformed!.isTransformed || !(length > 0)) return false;
    const { connection } = this;
    this.#files ??= new SentFiles(
      connection,
      () => {
        if (this.#flow === COMPLETE) this.onAnswerSent();
      },
      (thrown) => this.fail(ProxyError.from(thrown)),
    );
    if (!this.#files.send(descriptor, offset, length, onSent)) return false;
    this.responseBodyBytes += length;
    if (connection.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.onClientFull();
    return true;
  }

  #end(trailers: FieldBlock | null): void {
    if (this.ended || this.#flow === COMPLETE) return;
    this.#transformed = null;
    if (trailers !== null) {
      this.onTrailers(trailers);
      if (this.ended) return;
    }
    this.#flow = COMPLETE;
    this.connection.end(trailers);
    if (!this.sendsFile) this.onAnswerSent();
  }

  // -------------------------------------------------------------------------------------------------- who is slow

  #holdStream(): void {
    this.#streamHeld = true;
    this.pauseStream();
  }

  #letStreamGo(): void {
    this.#streamHeld = false;
    this.resumeStream();
  }

  /** The client takes no more for now; `onClientDrain` will follow. */
  onClientFull(): void {
    if (this.#clientFull) return;
    this.#clientFull = true;
    if (this.#transformed === null) this.#holdStream();
    else this.#transformed.source.pause();
  }

  /** The driver: the client has taken what was queued. */
  onClientDrain(): void {
    if (!this.#clientFull) return;
    this.#clientFull = false;
    if (this.#transformed === null) this.#letStreamGo();
    else this.#transformed.source.resume();
  }

  // --------------------------------------------------------------------------------------------- what passes unseen

  onUpstreamBodyAhead(from: Connection, bytes: number, giver: SpliceHandler): BodySplice | null {
    if (this.ended || this.#flow === AWAITED || this.#bodyless || this.#transformed !== null) return null;
    const splice = this.connection.spliceFrom(from, bytes, giver);
    if (splice === null) return null;
    this.#splice = this.watchSplice(splice);
    return this.#splice;
  }

  /** The driver: its client takes the answer without it, and is watched meanwhile. */
  get answerIsSpliced(): boolean {
    return this.#splice !== null && !this.#splice.over;
  }

  get clientTakesAnswer(): boolean {
    return this.#flow !== AWAITED && (this.answerIsSpliced || this.connection.queuedBytes > 0);
  }

  /** The driver: a part of the answer is being sent from a file. */
  get sendsFile(): boolean {
    return this.#files !== null && !this.#files.isEmpty;
  }

  // ------------------------------------------------------------------------------------------------- the end

  /** The stream is gone: nothing passes it unseen any more. */
  protected endSplice(): void {
    this.#splice?.end();
  }

  /** What came of an answer that nobody will get, and who would have seen it. */
  protected dropHeld(): void {
    this.#held?.release();
    this.#held = null;
    if (this.#flow !== AWAITED || this.#transformed === null) return;
    const transformed = this.#transformed;
    this.#transformed = null;
    transformed.abandon(this.error!);
  }

  /** The exchange is over: bytes of files were counted that have not left, and will not. */
  protected discountLost(): void {
    if (this.#files !== null) this.responseBodyBytes -= this.#files.lostBytes;
  }

  /** The exchange is over. Where the answer is not, there is an error. */
  protected abandonAnswer(): void {
    this.#transformed?.abandon(this.error!);
    this.#trailers?.release();
  }
}
