/**
 * Keeps a stored body readable while the origin is asked about it: what is replaced or purged meanwhile loses its file, and only who
 * has opened that before reads it to its end.
 */
import type { AnswerBody } from "../../caching/cache.ts";
import { ProxyError } from "../../core/errors.ts";
import type { AnswerSink, ProducedBody } from "../../pipeline/body.ts";

const RELEASED = new ProxyError("http_request_error", "it is not held any more");

/** A reader that takes nothing. */
export class HeldBody implements AnswerSink {
  readonly #produced: ProducedBody;

  constructor(body: AnswerBody) {
    this.#produced = body.produce(this, body.start, body.end, true);
  }

  release(): void {
    this.#produced.abort?.(RELEASED);
  }

  write(): void {}

  sendFile(): boolean {
    return false;
  }

  end(): void {}

  abort(): void {}
}
