/**
 * The body of an answer that is nobody else's, from the fork that fetches it to the client that asked, as fast as that one takes
 * it. The answer's head is there before the client's sink is: what comes in between is held, which is little, as the fork is paused
 * meanwhile. It keeps nothing of what has passed.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";
import type { Fork } from "../../pipeline/fork.ts";

export class Relay implements ProducedBody {
  readonly #fork: Fork;
  #sink: AnswerSink | null = null;
  #held: Buffer[] = [];
  #isEnded = false;
  #error: ProxyError | null = null;

  constructor(fork: Fork) {
    this.#fork = fork;
    fork.pause();
  }

  /** To be called with the client's sink, once. */
  readonly produce = (sink: AnswerSink): ProducedBody => {
    this.#sink = sink;
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) sink.write(bytes, 0, bytes.length);
    if (this.#error !== null) sink.abort(this.#error);
    else if (this.#isEnded) sink.end();
    else this.#fork.resume();
    return this;
  };

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#sink === null) this.#held.push(Buffer.from(bytes.subarray(start, end)));
    else this.#sink.write(bytes, start, end);
  }

  onEnd(): void {
    this.#isEnded = true;
    this.#sink?.end();
  }

  onFailed(error: ProxyError): void {
    this.#error = error;
    this.#sink?.abort(error);
  }

  pause(): void {
    this.#fork.pause();
  }

  resume(): void {
    if (this.#sink !== null) this.#fork.resume();
  }

  /** There is nothing to take: the fork ends by itself. */
  discard(): void {
    this.#fork.resume();
  }

  /** Nobody takes it. */
  abort(): void {
    this.#fork.abort();
  }
}
