/**
 * How bodies flow: from a source, through the transforms of features, to a sink. Bytes are pushed down by `write` and are
 * valid during that call only; pressure is pushed up by `pause` and `resume`. Nothing here allocates per chunk.
 *
 *     source  --write-->  transform  --write-->  sink
 *             <--pause--             <--pause--
 */
import type { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";

/** Takes a body. Calls come in the order write*, then end or abort, once. */
export interface BodySink {
  /** `bytes[start, end)`, never empty; valid during the call only: copy what must outlive it. */
  write(bytes: Buffer, start: number, end: number): void;
  /** The body is complete. */
  end(): void;
  /** The body will not be completed: the receiver must be able to tell that it is broken. */
  abort(error: ProxyError): void;
}

/** Gives a body; the receiver slows it down. Both calls are idempotent. A few writes may still come after `pause`. */
export interface BodySource {
  pause(): void;
  resume(): void;
}

/** Who gives a body of our own making: paused while the client is slow. */
export interface ProducedBody extends BodySource {
  /** Nobody takes the rest: the client has left, or the answer was cut. What is written from now on is dropped. */
  abort?(error: ProxyError): void;
}

/** Where an answer's body goes that we make ourselves. */
export interface AnswerSink extends BodySink {
  /** The body is complete; the trailers, which are copied, are passed on to a client that takes them. */
  end(trailers?: FieldBlock | null): void;
  /**
   * The next bytes are `length` of an open file, from `offset` on: sent without being read, where that can be. `onSent` is called
   * once, in a later turn, when the descriptor is not needed any more, also when the answer was cut. false: somebody wants to see
   * the bytes, or the client's side cannot; nothing was done, the caller reads them and writes them.
   */
  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean;
}

/** Gives a body of our own making: called once with where to write it to. */
export type BodyProducer = (sink: AnswerSink) => ProducedBody;

/** Stands in between: a sink for what comes, a source for what it passes on. */
export interface BodyTransform extends BodySink, BodySource {}

/**
 * A transform that passes everything on unchanged. Extend it and override `write` (and `end`, when something is kept
 * back until then).
 */
export class PassThrough implements BodyTransform {
  protected readonly next: BodySink;
  protected readonly source: BodySource;

  constructor(next: BodySink, source: BodySource) {
    this.next = next;
    this.source = source;
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.next.write(bytes, start, end);
  }

  end(): void {
    this.next.end();
  }

  abort(error: ProxyError): void {
    this.next.abort(error);
  }

  pause(): void {
    this.source.pause();
  }

  resume(): void {
    this.source.resume();
  }
}
