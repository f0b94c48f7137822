/**
 * The body of one request on its way to the upstream: held while a feature wants to see all of it, through the transforms of
 * features, into the replay buffer while another attempt is possible, to the stream. Made only for requests that have a body. What
 * nobody looks at and no attempt can need passes it by, unseen.
 *
 *     driver --receive--> [HeldBody] --write--> transforms --> replay buffer, stream
 */
import type { DeadlineWheel } from "../core/deadlines.ts";
import { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../core/limits.ts";
import type { Connection, SpliceHandler } from "../core/ports.ts";
import type { BodySink, BodySource } from "./body.ts";
import type { Hook } from "./chain.ts";
import { faultOfPart, guardedTransform, hastyTransform } from "./guard.ts";
import { HeldBody } from "./held-body.ts";
import { ReplayBuffer } from "./replay.ts";
import type { Route } from "./site.ts";
import { type BodySplice, RequestSplice, type SplicedExchange } from "./splice.ts";
import type { UpstreamStream } from "./upstream.ts";

/** Who sends the body: the driver. */
export interface RequestSource {
  startRequestBody(): void;
  pauseRequestBody(): void;
  resumeRequestBody(): void;
}

export class RequestBody implements BodySource {
  readonly #exchange: SplicedExchange;
  /** null: the client sends no body, a feature announced one all the same; it is complete at once. */
  #source: RequestSource | null;
  /** A feature has asked for the whole of the body before it is sent; it stays in front of it. */
  #held: HeldBody | null = null;
  /** The features have been asked for their transforms. */
  #isOnItsWay = false;
  #replay: ReplayBuffer | null = null;
  /** The first transform; null: bytes go straight to the stream. */
  #first: BodySink | null = null;
  /** Who is paused when the stream is full: the last transform, or the driver. */
  #last: BodySource = this;
  #stream: UpstreamStream | null = null;
  #started = false;
  #complete = false;
  /** The stream is full, or there is none at the moment. */
  #blocked = false;
  /** null: none of the body passes unseen. */
  #splice: BodySplice | null = null;

  constructor(exchange: SplicedExchange, source: RequestSource | null) {
    this.#exchange = exchange;
    this.#source = source;
  }

  get isOnItsWay(): boolean {
    return this.#isOnItsWay;
  }

  /** A feature wants to see all of it: the body is asked for at once, and held until it is sent. */
  whole(bytesMax: number): Promise<Buffer> {
    if (this.#held !== null) return this.#held.wholeWithin(bytesMax);
    const held = new HeldBody(this.#source!, bytesMax);
    this.#source = this.#held = held;
    held.begin();
    return held.whole;
  }

  get isHeld(): boolean {
    return this.#held !== null;
  }

  /**
   * Before the first attempt, once: asks the features for their transforms, which may fail the exchange. `replayable`: keep what is
   * sent, for another attempt.
   */
  prepare(hooks: readonly Hook[] | null, replayable: boolean): void {
    this.#isOnItsWay = true;
    if (replayable) this.#replay = new ReplayBuffer();
    this.#held?.giveTo(this);
    if (hooks !== null) this.#transform(hooks);
  }

  #transform(hooks: readonly Hook[]): void {
    // The last feature of `use` is the closest to the upstream: built from there, each with a link to what feeds it.
    const fail = (error: ProxyError): void => this.#exchange.fail(error);
    let next: BodySink = {
      write: (bytes, start, end) => this.#send(bytes, start, end),
      end: () => this.#finish(null),
      abort: fail,
    };
    let link: SourceLink | null = null;
    for (let i = hooks.length - 1; i >= 0; i--) {
      const source = new SourceLink(this);
      const { feature } = hooks[i]!;
      const made = feature.requestBody!(this.#exchange, next, source);
      const transform = guardedTransform(made, `requestBody of ${feature.name}`, fail);
      if (transform === null) continue;
      if (link === null) this.#last = transform;
      else link.target = transform;
      link = source;
      next = transform;
      this.#first = transform;
    }
  }

  /** Whether all that was sent can be sent again. */
  get repeatable(): boolean {
    return !this.#started || (this.#replay !== null && !this.#replay.overflowed);
  }

  /** Nobody looks at what comes, and nobody needs it again: it may pass unseen to the stream, which can take it now. */
  get #passesUnseen(): boolean {
    return this.#held === null && this.#first === null && !this.repeatable && !this.#blocked;
  }

  /** The next `bytes` are to come at `from`: whether they pass unseen. null: they are to be received. */
  spliceFrom(
    from: Connection,
    bytes: number,
    giver: SpliceHandler,
    route: Route,
    deadlines: DeadlineWheel,
  ): BodySplice | null {
    const stream = this.#stream;
    if (stream === null || !this.#passesUnseen) return null;
    const splice = stream.spliceFrom(from, bytes, giver);
    if (splice === null) return null;
    this.#splice = new RequestSplice(this.#exchange, route, deadlines, splice, stream);
    return this.#splice;
  }

  /** A stream is there and its head was sent: the first one, or another after `lost`. */
  attach(stream: UpstreamStream): void {
    this.#stream = stream;
    if (!this.#started) {
      this.#started = true;
      if (this.#source === null) this.end(null);
      else this.#source.startRequestBody();
      return;
    }
    const bytes = this.#replay!.bytes;
    if (bytes.length > 0) stream.write(bytes, 0, bytes.length);
    if (this.#complete) stream.end(null);
    else this.unblock();
  }

  /** The stream is gone: nothing is sent until another one is attached. */
  lost(): void {
    this.#stream = null;
    if (this.#started && !this.#complete) this.#block();
    this.#splice?.end();
  }

  /** The driver has received a part of the body. */
  receive(bytes: Buffer, start: number, end: number): void {
    if (this.#held === null) this.write(bytes, start, end);
    else this.#held.write(bytes, start, end);
  }

  /** The driver has received its end. */
  receiveEnd(trailers: FieldBlock | null): void {
    if (this.#held === null) this.end(trailers);
    else this.#held.end(trailers);
  }

  /** A part of the body is to be sent. */
  write(bytes: Buffer, start: number, end: number): void {
    if (this.#first === null) this.#send(bytes, start, end);
    else this.#first.write(bytes, start, end);
  }

  /**
   * All of the body was written. Whether its trailers may pass is decided now, when all that features find out about the request
   * is known: an upstream that takes trailers for fields of the head would believe them.
   */
  end(trailers: FieldBlock | null): void {
    const { identity, passesTrailers } = this.#exchange;
    if (this.#first === null) this.#finish(identity === null && passesTrailers ? trailers : null);
    else this.#first.end();
  }

  /** The exchange has failed: whoever waits for the whole of the body is told, and none of it is sent. */
  abandonHeld(error: ProxyError): void {
    this.#held?.abandon(error);
  }

  /** The exchange is over: whoever still waits for the rest of the body, or holds some of it, lets go of it. */
  abandon(error: ProxyError | null): void {
    const waiting = this.#complete ? null : this.#first;
    if (waiting === null && this.#held === null) return;
    const reason = error ?? new ProxyError("http_request_error", "the exchange was over before the request's body");
    waiting?.abort(reason);
    this.#held?.abandon(reason);
  }

  #send(bytes: Buffer, start: number, end: number): void {
    // An empty chunk would be the last one.
    if (end <= start) return;
    const fault = this.#started ? faultOfPart(bytes, start, end) : hastyTransform();
    if (fault !== null) return this.#exchange.fail(fault);
    this.#replay?.record(bytes, start, end);
    if (this.#stream === null) return;
    this.#stream.write(bytes, start, end);
    if (this.#stream !== null && this.#stream.queuedBytes > QUEUE_HIGH_WATER_BYTES) this.#block();
  }

  #finish(trailers: FieldBlock | null): void {
    if (!this.#started) return this.#exchange.fail(hastyTransform());
    this.#complete = true;
    this.#stream?.end(trailers);
  }

  #block(): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#last.pause();
  }

  /** The stream has taken what was queued. */
  unblock(): void {
    if (!this.#blocked || this.#stream === null) return;
    this.#blocked = false;
    this.#last.resume();
  }

  pause(): void {
    this.#source?.pauseRequestBody();
  }

  resume(): void {
    this.#source?.resumeRequestBody();
  }
}

/** What feeds a transform: known only after the transform itself was made. */
export class SourceLink implements BodySource {
  target: BodySource;

  constructor(target: BodySource) {
    this.target = target;
  }

  pause(): void {
    this.target.pause();
  }

  resume(): void {
    this.target.resume();
  }
}
