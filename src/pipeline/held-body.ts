/**
 * The body of a request that a feature wants to see whole before it decides: collected while request hooks wait, within
 * a limit, and given on from here when the request is sent, as if it came from the client just then. What nobody waits
 * for any more passes through.
 */
import { ByteQueue } from "../core/byte-queue.ts";
import { ProxyError } from "../core/errors.ts";
import type { FieldBlock } from "../core/fields.ts";
import { copyOf } from "./held-answer.ts";
import type { RequestBody, RequestSource } from "./request-body.ts";

export class HeldBody implements RequestSource {
  readonly whole: Promise<Buffer>;
  readonly #source: RequestSource;
  readonly #bytesMax: number;
  readonly #resolve: (bytes: Buffer) => void;
  readonly #reject: (error: ProxyError) => void;
  /** One piece, in however many it came: of a body in chunks of one byte each, the pieces would take a hundred times its size. */
  readonly #held = new ByteQueue();
  #bytes = 0;
  /** null: it has not come to its end, or was given on. */
  #complete: Buffer | null = null;
  #isComplete = false;
  #trailers: FieldBlock | null = null;
  #target: RequestBody | null = null;
  /** Why it has not become whole; what is left of it must not be sent. */
  #broken: ProxyError | null = null;

  constructor(source: RequestSource, bytesMax: number) {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.whole = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Whoever has asked may have gone on without it.
    promise.catch(() => {});
    this.#source = source;
    this.#bytesMax = bytesMax;
  }

  begin(): void {
    this.#source.startRequestBody();
  }

  /** For one more that asks: its limit may be lower than that of the first. */
  async wholeWithin(bytesMax: number): Promise<Buffer> {
    const bytes = await this.whole;
    if (bytes.length > bytesMax) throw bodyTooLarge(bytesMax);
    return bytes;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#target !== null) return this.#target.write(bytes, start, end);
    this.#bytes += end - start;
    if (this.#broken !== null) return;
    if (this.#bytes > this.#bytesMax) return this.abandon(bodyTooLarge(this.#bytesMax));
    this.#held.append(bytes, start, end);
  }

  end(trailers: FieldBlock | null): void {
    if (this.#target !== null) return this.#target.end(trailers);
    if (this.#broken !== null) return;
    this.#isComplete = true;
    this.#trailers = copyOf(trailers);
    this.#complete = this.#held.take();
    this.#resolve(this.#complete);
  }

  /** From now on the body is this one's. */
  giveTo(target: RequestBody): void {
    this.#target = target;
  }

  /** Throws why the body cannot be sent, when a feature has gone on all the same. */
  startRequestBody(): void {
    if (this.#broken !== null) throw this.#broken;
    const held = this.#complete ?? this.#held.take();
    this.#complete = null;
    if (held.length > 0) this.#target!.write(held, 0, held.length);
    if (!this.#isComplete) return;
    this.#target!.end(this.#trailers);
    this.#releaseTrailers();
  }

  pauseRequestBody(): void {
    if (!this.#isComplete) this.#source.pauseRequestBody();
  }

  resumeRequestBody(): void {
    if (!this.#isComplete) this.#source.resumeRequestBody();
  }

  /** It will not become whole, or nobody needs it any more. */
  abandon(error: ProxyError): void {
    this.#broken = error;
    this.#held.clear();
    this.#complete = null;
    this.#releaseTrailers();
    this.#reject(error);
  }

  #releaseTrailers(): void {
    this.#trailers?.release();
    this.#trailers = null;
  }
}

export function bodyTooLarge(bytesMax: number): ProxyError {
  return new ProxyError("http_request_error", `the body is larger than ${bytesMax} bytes`, { status: 413 });
}
