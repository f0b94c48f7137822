/**
 * The buffer that all deliveries of a simulated network come in. It is reused at once, and nobody's after the call: whoever
 * keeps a reference, or reads next to what was delivered, reads something else.
 */
import type { ByteQueue } from "../core/byte-queue.ts";
import type { ConnectionHandler } from "../core/ports.ts";

/** What one delivery may hold. */
export const READ_BYTES_MAX = 64 * 1024;
const MARGIN_BYTES = 64;
/** Bytes that stand around a delivery, in turn: an index that is off by one reads a digit, a letter or a line break. */
const JUNK = [0x23, 0x0a, 0x30, 0x0d, 0x41, 0x20] as const;
/** What a delivery turns into when its call has returned. */
const POISON = 0xee;

export class DeliverySlab {
  readonly #buffer = Buffer.alloc(READ_BYTES_MAX + 2 * MARGIN_BYTES, POISON);
  #deliveries = 0;

  /** Takes up to `bytesMax` bytes from the queue, shows them to the handler and destroys them. */
  deliver(from: ByteQueue, bytesMax: number, handler: ConnectionHandler): void {
    const buffer = this.#buffer;
    const delivery = this.#deliveries++;
    const start = 1 + (delivery % MARGIN_BYTES);
    const length = Math.min(bytesMax, from.length, READ_BYTES_MAX);
    from.bytes.copy(buffer, start, from.start, from.start + length);
    from.consume(length);
    const junk = JUNK[delivery % JUNK.length]!;
    buffer.fill(junk, 0, start);
    buffer.fill(junk, start + length, start + length + MARGIN_BYTES);
    try {
      handler.onBytes(buffer, start, start + length);
    } finally {
      buffer.fill(POISON, 0, start + length + MARGIN_BYTES);
    }
  }
}
