/**
 * Bytes that arrived and cannot be used yet: an incomplete head, or what a peer sent ahead. Appending is amortised, so that a
 * peer that sends byte by byte costs no copy of everything for each byte. Holds no memory while it is empty.
 */

const EMPTY = Buffer.alloc(0);
const BYTES_INITIAL = 512;

export class ByteQueue {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** The storage: the content is `bytes[start, end)`. Valid until the next append. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const added = end - start;
    if (this.#end + added > this.#bytes.length) this.#makeRoom(added);
    this.#bytes.set(bytes.subarray(start, end), this.#end);
    this.#end += added;
  }

  /** Drops the first `count` bytes. */
  consume(count: number): void {
    this.#start += count;
    if (this.#start === this.#end) this.clear();
  }

  /** Everything, which is then the caller's; the queue is empty behind it. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(this.#start, this.#end);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = this.#end = 0;
  }

  #makeRoom(added: number): void {
    const { length } = this;
    const larger = Buffer.allocUnsafeSlow(Math.max(BYTES_INITIAL, 2 * length, length + added));
    this.#bytes.copy(larger, 0, this.#start, this.#end);
    this.#bytes = larger;
    this.#start = 0;
    this.#end = length;
  }
}
