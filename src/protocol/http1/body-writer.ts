/**
 * One message's body on its way out, after another's: exactly what its head has announced leaves, framed as the head says. A byte
 * more would be read as the beginning of the next message on the connection, whoever that is for; a byte less, and the next message
 * would be read as the rest of this one. So both are refused, and whoever writes has to cut the connection.
 */
import type { FieldBlock } from "../../core/fields.ts";
import type { Connection } from "../../core/ports.ts";
import { encodeChunkHead } from "./chunked.ts";
import { encodeLastChunk, SEND_CHUNKED, SEND_LENGTH, SEND_NO_BODY, SEND_UNTIL_CLOSE } from "./encode.ts";

/** Whatever takes the bytes. */
export type BodyTaker = Pick<Connection, "reserve" | "commit" | "write" | "sendFile">;

/** The line before a chunk: made here, and written at once. */
const chunkHead = Buffer.allocUnsafeSlow(32);
const CRLF = Buffer.from("\r\n");

export class BodyWriter {
  #framing = SEND_NO_BODY;
  /** Of a body with a length, what has not come. */
  #left = 0;

  /** The head has left. `framing` is one of the SEND_ constants; the length counts for SEND_LENGTH only. */
  begin(framing: number, bodyBytes: number): void {
    this.#framing = framing;
    this.#left = framing === SEND_LENGTH ? bodyBytes : 0;
  }

  /** The body's next bytes, one at least. False: more than was announced, and nothing is sent. */
  write(to: BodyTaker, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#framing === SEND_CHUNKED) {
      to.write(chunkHead, 0, encodeChunkHead(chunkHead, 0, end - start));
      to.write(bytes, start, end);
      to.write(CRLF, 0, 2);
      return true;
    }
    if (!this.#mayCome(end - start)) return false;
    to.write(bytes, start, end);
    return true;
  }

  /** The next bytes are `length` of a file, one at least. False: more than was announced, and `onSent` is never called. */
  sendFile(to: BodyTaker, descriptor: number, offset: number, length: number, onSent: () => void): boolean {
    const isChunked = this.#framing === SEND_CHUNKED;
    if (isChunked) to.write(chunkHead, 0, encodeChunkHead(chunkHead, 0, length));
    else if (!this.#mayCome(length)) return false;
    to.sendFile(descriptor, offset, length, onSent);
    if (isChunked) to.write(CRLF, 0, 2);
    return true;
  }

  #mayCome(bytes: number): boolean {
    if (this.#framing === SEND_UNTIL_CLOSE) return true;
    const left = this.#left - bytes;
    this.#left = left;
    return left >= 0;
  }

  /** Whether the next `bytes` (Infinity: all there are) may be passed by: nothing is put between them, and one at least is left. */
  mayPass(bytes: number): boolean {
    return this.#framing === SEND_LENGTH ? bytes < this.#left : this.#framing === SEND_UNTIL_CLOSE;
  }

  /** So many bytes were passed by. */
  passed(bytes: number): void {
    this.#left -= bytes;
  }

  /** All of the body was written; trailers leave behind chunks only. False: it is less than was announced, and nothing is sent. */
  end(to: BodyTaker, trailers: FieldBlock | null): boolean {
    if (this.#framing === SEND_CHUNKED) encodeLastChunk(to, trailers);
    return this.#framing !== SEND_LENGTH || this.#left === 0;
  }
}
