/**
 * A client's place at a body that is on its way: taken when it is known that the client gets it, which is before its answer is sent.
 * In between, what comes must not be taken for something that nobody reads: where it is not kept, it would be gone. The same holds
 * for what is stored while the origin is asked about it: what is replaced or purged meanwhile loses its file, and only who has opened
 * that before reads it to its end.
 */
import type { AnswerBody } from "../../caching/cache.ts";
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";

export class EarlyReader implements AnswerSink {
  readonly #inner: ProducedBody;
  #sink: AnswerSink | null = null;
  /** It broke before there was a sink. */
  #error: ProxyError | null = null;

  constructor(body: AnswerBody, start: number, end: number) {
    this.#inner = body.produce(this, start, end, true);
  }

  /** To be called with the client's sink, once. */
  readonly produce = (sink: AnswerSink): ProducedBody => {
    this.#sink = sink;
    if (this.#error === null) this.#inner.resume();
    else sink.abort(this.#error);
    return this.#inner;
  };

  /** The client has left before it had a sink; afterwards the body is told by whoever sends it. */
  leave(error: ProxyError): void {
    if (this.#sink === null) this.#inner.abort?.(error);
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.#sink!.write(bytes, start, end);
  }

  sendFile(descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    return this.#sink!.sendFile(descriptor, offset, length, onSent);
  }

  end(): void {
    this.#sink!.end();
  }

  abort(error: ProxyError): void {
    if (this.#sink === null) this.#error = error;
    else this.#sink.abort(error);
  }
}
