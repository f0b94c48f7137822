/**
 * A client's place at a body that is on its way: taken when it is known that the client gets it, which is before its answer is sent.
 * In between, what comes must not be taken for something that nobody reads: where it is not kept, it would be gone.
 */
import type { AnswerBody } from "../../caching/cache.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";

export class EarlyReader implements AnswerSink, ProducedBody {
  readonly #inner: ProducedBody;
  #sink: AnswerSink | null = null;
  /** What came all the same before there was a sink. */
  #held: Buffer[] = [];
  #isEnded = false;
  #error: ProxyError | null = null;

  constructor(body: AnswerBody, start: number, end: number) {
    this.#inner = body.produce(this, start, end);
    this.#inner.pause();
  }

  /** To be called with the client's sink, once. */
  readonly produce = (sink: AnswerSink): ProducedBody => {
    this.#sink = sink;
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) sink.write(bytes, 0, bytes.length);
    if (this.#error !== null) sink.abort(this.#error);
    else if (this.#isEnded) sink.end();
    else this.#inner.resume();
    return this;
  };

  /** The client has its sink, which tells the body when it leaves. */
  get isTaken(): boolean {
    return this.#sink !== null;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#sink === null) this.#held.push(Buffer.from(bytes.subarray(start, end)));
    else this.#sink.write(bytes, start, end);
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    return this.#sink?.sendFile(descriptor, offset, length, onSent) ?? false;
  }

  end(): void {
    this.#isEnded = true;
    this.#sink?.end();
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    if (this.#sink !== null) this.#inner.resume();
  }

  /** The body broke, or the client has left: each of the two knows already what it tells. */
  abort(error: ProxyError): void {
    this.#error = error;
    this.#sink?.abort(error);
  }
}
