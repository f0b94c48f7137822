/**
 * Stands in for an upstream and reads a small form: the one way in which a feature gets the whole body of a request that it
 * answers itself. Nothing leaves the process.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Exchange } from "../../pipeline/exchange.ts";

type Upstream = NonNullable<Exchange["upstream"]>;
type Handler = Parameters<Upstream["lease"]>[1];
type Stream = Parameters<Handler["onStream"]>[0];

/** A logout token has a dozen claims; those of a session with all its tokens would not be more. */
const FORM_BYTES_MAX = 64 * 1024;

/** Answers the exchange, now or later. */
export type OnForm = (exchange: Exchange, form: URLSearchParams) => void;

export class FormReader implements Upstream {
  readonly name = "oidc";
  readonly #onForm: OnForm;

  constructor(onForm: OnForm) {
    this.#onForm = onForm;
  }

  lease(exchange: Exchange, handler: Handler): void {
    handler.onStream(new FormStream(exchange, this.#onForm));
  }

  cancel(): void {}

  allowRetry(): boolean {
    return false;
  }
}

class FormStream implements Stream {
  readonly address = "";
  readonly authority = "";
  readonly reused = false;
  readonly queuedBytes = 0;
  readonly #exchange: Exchange;
  readonly #onForm: OnForm;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(exchange: Exchange, onForm: OnForm) {
    this.#exchange = exchange;
    this.#onForm = onForm;
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes <= FORM_BYTES_MAX) this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    else {
      const message = `oidc: the form is larger than ${FORM_BYTES_MAX} bytes`;
      this.#exchange.fail(new ProxyError("http_request_error", message, { status: 413 }));
    }
  }

  end(): void {
    if (this.#bytes > FORM_BYTES_MAX) return;
    this.#onForm(this.#exchange, new URLSearchParams(Buffer.concat(this.#parts).toString("utf8")));
  }

  sendHead(): void {}
  pause(): void {}
  resume(): void {}
  abort(): void {}
  onBodySpliced(): void {}

  spliceFrom(): null {
    return null;
  }
}
