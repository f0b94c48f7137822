/**
 * Several ranges of a body, one behind the other, with what stands between them (RFC 9110, section 14.6). Each comes as the body
 * gives it, also as a range of a file; one that breaks breaks the answer.
 */
import type { AnswerBody } from "../../caching/cache.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";
import type { MultipartBody } from "../../semantics/caching/byte-ranges-body.ts";

/** Gives the whole of a multipart body to the sink. */
export function produceMultipart(body: AnswerBody, multipart: MultipartBody, sink: AnswerSink): ProducedBody {
  const giver = new MultipartGiver(body, multipart, sink);
  giver.next();
  return giver;
}

class MultipartGiver implements ProducedBody {
  readonly sink: AnswerSink;
  readonly #body: AnswerBody;
  readonly #multipart: MultipartBody;
  readonly #rangeSink: AnswerSink = new RangeSink(this);
  /** The part whose range is being given. */
  #part = -1;
  #inner: ProducedBody | null = null;
  /** The body has not returned yet who gives the range. */
  #isStarting = false;
  #isPaused = false;
  #isOver = false;

  constructor(body: AnswerBody, multipart: MultipartBody, sink: AnswerSink) {
    this.#body = body;
    this.#multipart = multipart;
    this.sink = sink;
  }

  /** A range that is given at once ends before `produce` returns: a loop, so that a hundred of them are no hundred calls deep. */
  next(): void {
    while (!this.#isOver) {
      this.#inner = null;
      const part = this.#multipart.parts[++this.#part];
      if (part === undefined) return this.#end();
      this.sink.write(part.head, 0, part.head.length);
      if (this.#isOver) return;
      this.#isStarting = true;
      const inner = this.#body.produce(this.#rangeSink, part.range.start, part.range.end);
      if (!this.#isStarting) continue;
      this.#isStarting = false;
      this.#inner = inner;
      if (this.#isPaused) inner.pause();
      return;
    }
  }

  #end(): void {
    const { tail } = this.#multipart;
    this.sink.write(tail, 0, tail.length);
    if (this.#isOver) return;
    this.#isOver = true;
    this.sink.end();
  }

  onRangeEnd(): void {
    if (this.#isStarting) this.#isStarting = false;
    else this.next();
  }

  onRangeBroken(error: ProxyError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.sink.abort(error);
  }

  pause(): void {
    this.#isPaused = true;
    this.#inner?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#inner?.resume();
  }

  /** The client has left. */
  abort(error: ProxyError): void {
    this.#isOver = true;
    this.#inner?.abort?.(error);
  }
}

/** Takes one range after the other. */
class RangeSink implements AnswerSink {
  readonly #giver: MultipartGiver;

  constructor(giver: MultipartGiver) {
    this.#giver = giver;
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.#giver.sink.write(bytes, start, end);
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    return this.#giver.sink.sendFile(descriptor, offset, length, onSent);
  }

  end(): void {
    this.#giver.onRangeEnd();
  }

  abort(error: ProxyError): void {
    this.#giver.onRangeBroken(error);
  }
}
