/**
 * The body of a request that Node has framed: from the request itself as it comes, or, when a body parser in front has
 * read it, from what the parser left (parsed-body.ts). It decides how the body is slowed down, and never holds more of it
 * than is there already.
 */
import type { IncomingMessage } from "node:http";
import { ProxyError } from "../../../core/errors.ts";
import { FieldBlock } from "../../../core/fields.ts";
import { FORBIDDEN_TRAILERS } from "../../../protocol/http1/trailers.ts";
import { encodeParsedBody } from "./parsed-body.ts";

/** A body that is there as a whole is given away in pieces, so that a slow upstream is felt. */
const PIECE_BYTES = 64 * 1024;

export interface BodyReceiver {
  /** Never empty; valid during the call only. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The body is complete. Trailers are valid during the call only. */
  onBodyEnd(trailers: FieldBlock | null): void;
  /** Its end was not one. */
  onBodyInvalid(error: ProxyError): void;
}

export class ReceivedBody {
  readonly #request: IncomingMessage;
  readonly #receiver: BodyReceiver;
  /** What is left of a body that is there as a whole; null: it comes from the request. */
  #whole: Buffer | null;
  /** Length of a body that was made again; null: it has the length that was announced. */
  readonly wholeBytes: number | null;
  #started = false;
  #paused = false;
  #discarded = false;
  /** The receiver has been told of the end. */
  ended = false;

  private constructor(request: IncomingMessage, receiver: BodyReceiver, whole: Buffer | null) {
    this.#request = request;
    this.#receiver = receiver;
    this.#whole = whole;
    this.wholeBytes = whole === null ? null : whole.length;
  }

  /** Finds the body of a request that has one, or says why it is lost. `fields` lose what no longer holds. */
  static of(request: IncomingMessage, fields: FieldBlock, receiver: BodyReceiver): ReceivedBody | ProxyError {
    if (!request.readableDidRead && !request.readableEnded) {
      // Nobody in front reads on while the upstream is being looked for.
      request.pause();
      return new ReceivedBody(request, receiver, null);
    }
    if (!request.readableEnded) {
      return new ProxyError(
        "proxy_configuration_error",
        "something in front is in the middle of reading the request's body",
      );
    }
    const whole = encodeParsedBody((request as { readonly body?: unknown }).body, fields);
    return whole instanceof ProxyError ? whole : new ReceivedBody(request, receiver, whole);
  }

  /** It is on its way: nobody has stopped it, and it has not ended. */
  get flowing(): boolean {
    return this.#started && !this.#paused && !this.ended;
  }

  start(): void {
    this.#started = true;
    if (this.#whole !== null) this.#sendWhole();
    else {
      this.#request.on("data", this.#onData).on("end", this.#onEnd);
      this.#request.resume();
    }
  }

  pause(): void {
    this.#paused = true;
    if (this.#started && this.#whole === null) this.#request.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#started) return;
    if (this.#whole !== null) this.#sendWhole();
    else this.#request.resume();
  }

  /** Nobody wants the rest: Node reads and drops it, so that the connection can be used again. */
  discard(): void {
    if (this.#discarded) return;
    this.#discarded = true;
    this.#whole = null;
    this.#request.off("data", this.#onData).off("end", this.#onEnd);
    if (!this.#request.readableEnded) this.#request.resume();
  }

  readonly #onData = (chunk: Buffer | string): void => {
    // Somebody in front may have called setEncoding().
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, this.#request.readableEncoding ?? "utf8") : chunk;
    if (bytes.length > 0) this.#receiver.onBody(bytes, 0, bytes.length);
  };

  readonly #onEnd = (): void => {
    this.ended = true;
    const trailers = fieldsOf(this.#request.rawTrailers);
    if (trailers instanceof ProxyError) {
      this.#receiver.onBodyInvalid(trailers);
      return;
    }
    this.#receiver.onBodyEnd(trailers);
    trailers?.release();
  };

  #sendWhole(): void {
    while (this.#whole !== null && this.#whole.length > 0) {
      if (this.#paused) return;
      const piece = this.#whole;
      const length = Math.min(piece.length, PIECE_BYTES);
      this.#whole = piece.subarray(length);
      this.#receiver.onBody(piece, 0, length);
    }
    if (this.#whole === null || this.#paused || this.ended) return;
    this.ended = true;
    this.#receiver.onBodyEnd(null);
  }
}

/** Node's flat list of names and values; null when it is empty. */
function fieldsOf(raw: readonly string[]): FieldBlock | ProxyError | null {
  if (raw.length === 0) return null;
  const fields = new FieldBlock();
  try {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      if (!FORBIDDEN_TRAILERS.has(raw[i]!.toLowerCase())) fields.append(raw[i]!, raw[i + 1]!);
    }
    return fields;
  } catch (invalid) {
    fields.release();
    return new ProxyError("http_request_error", "a trailer is invalid", { cause: invalid });
  }
}
