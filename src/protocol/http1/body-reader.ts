/**
 * One message's body on its way in, after another's: which of the bytes that come are its own, and where it ends, as its head has
 * framed it (RFC 9112, section 6.3). It keeps no bytes, and a body may be cut into pieces anywhere.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { BODY_UNTIL_END } from "../../core/message.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { type BodyFraming, FRAMING_CHUNKED, FRAMING_CLOSE } from "./framing.ts";

export class BodyReader {
  /** The range of the body's bytes that `next` found, in the buffer that it was given; empty when it found none. */
  dataStart = 0;
  dataEnd = 0;
  #left = 0;
  #isChunked = false;
  #chunks: ChunkedDecoder | null = null;

  /** A head was read that says so. */
  begin({ kind, length }: BodyFraming): void {
    this.#left = kind === FRAMING_CLOSE ? Number.POSITIVE_INFINITY : length;
    this.#isChunked = kind === FRAMING_CHUNKED;
    if (this.#isChunked) {
      this.#chunks ??= new ChunkedDecoder();
      this.#chunks.reset();
    }
  }

  /** Bytes of the body that are known to come; 0 of chunks, Infinity: until the connection ends. */
  get left(): number {
    return this.#left;
  }

  get isChunked(): boolean {
    return this.#isChunked;
  }

  /** The end of the connection is its end. */
  get isUntilClose(): boolean {
    return this.#left === Number.POSITIVE_INFINITY;
  }

  /** Of a body that has only begun, what its message says of it: bytes, or BODY_UNTIL_END. */
  get bodyBytes(): number {
    return this.#isChunked || this.isUntilClose ? BODY_UNTIL_END : this.#left;
  }

  /** All of it has come; one that ends with the connection never has. */
  get ended(): boolean {
    return this.#isChunked ? this.#chunks!.done : this.#left === 0;
  }

  /** Those of a body that has ended, until `reset`; null: it has none. */
  get trailers(): FieldBlock | null {
    return this.#isChunked ? this.#chunks!.trailers : null;
  }

  /** The same, which are the caller's then, who releases them. */
  giveTrailers(): FieldBlock | null {
    return this.#isChunked ? this.#chunks!.giveTrailers() : null;
  }

  /**
   * Reads `buffer[at, end)` up to the end of the body, or of a range of its data. Returns the offset behind what was read, or an ERR_
   * code.
   */
  next(buffer: Buffer, at: number, end: number): number {
    if (this.#isChunked) {
      const chunks = this.#chunks!;
      const next = chunks.next(buffer, at, end);
      this.dataStart = chunks.dataStart;
      this.dataEnd = chunks.dataEnd;
      return next;
    }
    const length = Math.min(end - at, this.#left);
    this.#left -= length;
    this.dataStart = at;
    this.dataEnd = at + length;
    return at + length;
  }

  /** So many bytes passed by unseen. */
  passed(bytes: number): void {
    this.#left -= bytes;
  }

  /** Expects nothing more, and gives the memory of the trailers back, also that of none. */
  reset(): void {
    this.#left = 0;
    this.#isChunked = false;
    this.#chunks?.reset();
  }
}
