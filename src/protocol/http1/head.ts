/**
 * What heads of requests and responses have in common: their limits, and how their bytes get into the storage that they
 * are parsed in. A head is copied there first, with a 0 behind it that no character class contains: the parser's loops
 * end at it by themselves, and never see a byte that is not part of the message.
 */
import { copyBytes, viewOf } from "../../core/copy-bytes.ts";
import type { FieldStorage } from "../../core/fields.ts";
import { CR, LF } from "./characters.ts";

export interface HeadLimits {
  /** From the first byte of the start line to the empty line, both included. */
  readonly headBytesMax: number;
  /** Without its CRLF. */
  readonly requestLineBytesMax: number;
  readonly fieldsMax: number;
}

/** Room behind a head: the 0, and what is read with it when it is read as one of four bytes. */
export const SENTINEL_BYTES = 4;
/**
 * As much as is copied and tried first. Larger heads are rare, and are parsed a second time; what stands behind a
 * smaller one (a body, pipelined requests) is copied for nothing, up to here. With the 0 behind it this fills a new
 * storage exactly.
 */
export const HEAD_BYTES_USUAL = 4096 - SENTINEL_BYTES;

/** The buffer that heads came in last, and its view: transports receive into one and the same, again and again. */
let source: Buffer = Buffer.alloc(0);
let sourceView: DataView = viewOf(source);

function viewOfSource(buffer: Buffer): DataView {
  if (buffer !== source) {
    source = buffer;
    sourceView = viewOf(buffer);
  }
  return sourceView;
}

/** Copies up to `bytesMax` bytes of `buffer[start, end)` to the storage, a 0 behind them, and returns how many. */
export function copyHead(buffer: Buffer, start: number, end: number, storage: FieldStorage, bytesMax: number): number {
  const length = Math.min(end - start, bytesMax);
  storage.growBytes(length + SENTINEL_BYTES, 0);
  copyBytes(storage.bytes, storage.view, 0, buffer, viewOfSource(buffer), start, start + length);
  storage.bytes[length] = 0;
  return length;
}

/**
 * Whether an empty line ends at or behind `from` in `buffer[0, end)`. Who gathers the pieces of a head asks this before
 * parsing it again, with the old end as `from`: a head that comes byte by byte is then parsed at its first byte, where
 * most of what is no HTTP shows, and when it is complete or has reached its limits.
 */
export function headMayBeComplete(buffer: Buffer, from: number, end: number): boolean {
  for (let i = from; i < end; i++) {
    if (buffer[i] !== LF || i === 0) continue;
    if (buffer[i - 1] === LF || (i > 1 && buffer[i - 1] === CR && buffer[i - 2] === LF)) return true;
  }
  return false;
}
