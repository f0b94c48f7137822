/**
 * The chunked transfer coding (RFC 9112, section 7.1). The decoder is pulled: it consumes bytes until it has found a
 * range of data, and says where that is; it keeps no data, and a body may be cut into pieces anywhere.
 *
 *     chunked-body = *chunk last-chunk trailer-section CRLF
 *     chunk        = 1*HEXDIG *( ";" token [ "=" ( token / quoted-string ) ] ) CRLF data CRLF
 *
 * Extensions mean nothing to us, but are read by their grammar, since a line that two servers end in different places
 * is how a request is hidden in one. Whitespace, which the RFC tolerates around ";" and "=", is refused: no one sends
 * it, and servers differ in where they allow it. Who forwards a body makes its chunks anew, without extensions.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX } from "../../core/limits.ts";
import { CR, HEX, LF, TOKEN, VALUE } from "./characters.ts";
import {
  ERR_BARE_CR,
  ERR_BARE_LF,
  ERR_CHUNK_END,
  ERR_CHUNK_EXTENSION,
  ERR_CHUNK_LINE_TOO_LONG,
  ERR_CHUNK_OVERHEAD,
  ERR_CHUNK_SIZE,
} from "./errors.ts";
import { TrailerReader } from "./trailers.ts";

/** The largest number of this many digits is below 2^53; leading zeros count. */
const SIZE_DIGITS_MAX = 13;
/**
 * What a line may have without counting as overhead: any size and its CRLF. As in Go's reader, which had
 * CVE-2023-39326.
 */
const LINE_BYTES_FREE = 16;

// The states of the framing between data. Those up to LINE_LF are within a chunk's line.
const SIZE_FIRST = 0;
const SIZE = 1;
const NAME_FIRST = 2;
const NAME = 3;
const EXTENSION_FIRST = 4;
const EXTENSION = 5;
const QUOTED = 6;
const ESCAPED = 7;
const QUOTED_END = 8;
const LINE_LF = 9;
const DATA_CR = 10;
const DATA_LF = 11;
const LAST_LF = 12;
const STATES = 13;
// Where bytes are not judged one by one; in TRAILER_FIRST, behind the line of the last chunk, only whether one is CR.
const DATA = 13;
const TRAILER_FIRST = 14;
const TRAILERS = 15;
const DONE = 16;

/** What a transition gives when the byte may not stand there. */
const REFUSED = 255;

// Bytes by what they do.
const C_HEX = 0;
const C_TOKEN = 1;
const C_SEMICOLON = 2;
const C_EQUALS = 3;
const C_QUOTE = 4;
const C_BACKSLASH = 5;
const C_CR = 6;
const C_LF = 7;
/** Any other that may stand in a quoted string. */
const C_TEXT = 8;
const C_CONTROL = 9;
const CLASSES = 10;

const classOf = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (HEX[byte] !== 0) return C_HEX;
  if (TOKEN[byte] !== 0) return C_TOKEN;
  const special = [";", "=", '"', "\\", "\r", "\n"].indexOf(String.fromCharCode(byte));
  if (special >= 0) return C_SEMICOLON + special;
  return VALUE[byte] !== 0 ? C_TEXT : C_CONTROL;
});

/** Every transition that exists: from a state, by classes of bytes, to a state. */
const TRANSITIONS: readonly (readonly [from: number, by: readonly number[], to: number])[] = [
  [SIZE_FIRST, [C_HEX], SIZE],
  [SIZE, [C_HEX], SIZE],
  [SIZE, [C_SEMICOLON], NAME_FIRST],
  [SIZE, [C_CR], LINE_LF],
  [NAME_FIRST, [C_HEX, C_TOKEN], NAME],
  [NAME, [C_HEX, C_TOKEN], NAME],
  [NAME, [C_EQUALS], EXTENSION_FIRST],
  [NAME, [C_SEMICOLON], NAME_FIRST],
  [NAME, [C_CR], LINE_LF],
  [EXTENSION_FIRST, [C_HEX, C_TOKEN], EXTENSION],
  [EXTENSION_FIRST, [C_QUOTE], QUOTED],
  [EXTENSION, [C_HEX, C_TOKEN], EXTENSION],
  [EXTENSION, [C_SEMICOLON], NAME_FIRST],
  [EXTENSION, [C_CR], LINE_LF],
  [QUOTED, [C_HEX, C_TOKEN, C_SEMICOLON, C_EQUALS, C_TEXT], QUOTED],
  [QUOTED, [C_BACKSLASH], ESCAPED],
  [QUOTED, [C_QUOTE], QUOTED_END],
  [ESCAPED, [C_HEX, C_TOKEN, C_SEMICOLON, C_EQUALS, C_QUOTE, C_BACKSLASH, C_TEXT], QUOTED],
  [QUOTED_END, [C_SEMICOLON], NAME_FIRST],
  [QUOTED_END, [C_CR], LINE_LF],
  // Where the line of a last chunk ends, the decoder itself goes to TRAILER_FIRST instead.
  [LINE_LF, [C_LF], DATA],
  [DATA_CR, [C_CR], DATA_LF],
  [DATA_LF, [C_LF], SIZE_FIRST],
  [LAST_LF, [C_LF], DONE],
];

const nextState = new Uint8Array(STATES * CLASSES).fill(REFUSED);
for (const [from, by, to] of TRANSITIONS) {
  for (const byClass of by) nextState[from * CLASSES + byClass] = to;
}

export class ChunkedDecoder {
  /** The range of data that `next` found, in the buffer that it was given; empty when it found none. */
  dataStart = 0;
  dataEnd = 0;
  #state = SIZE_FIRST;
  /** Size of the chunk as far as it was read, then bytes of its data that are still to come. */
  #remaining = 0;
  #digits = 0;
  #lineBytes = 0;
  /** Bytes of lines beyond what sizes and data account for. */
  #overhead = 0;
  readonly #trailers = new TrailerReader();

  /** The body is complete. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /** The trailer fields of a complete body, null when there are none. Theirs until `reset`, which releases them. */
  get trailers(): FieldBlock | null {
    return this.#trailers.fields;
  }

  /** The same, which are the caller's then. */
  giveTrailers(): FieldBlock | null {
    return this.#trailers.give();
  }

  /** Ready for another body. Also gives memory back: to be called when a body is given up. */
  reset(): void {
    this.dataStart = this.dataEnd = 0;
    this.#state = SIZE_FIRST;
    this.#remaining = this.#digits = this.#lineBytes = this.#overhead = 0;
    this.#trailers.reset();
  }

  /**
   * Consumes from `buffer[at, end)` until a range of data was found (`dataEnd` > `dataStart`), the body is done, or the
   * input is used up. Returns the next offset, or an ERR_ code.
   */
  next(buffer: Buffer, at: number, end: number): number {
    this.dataStart = this.dataEnd = at;
    let i = at;
    while (i < end) {
      if (this.#state < STATES) {
        const refused = this.#framing(buffer[i]!);
        if (refused !== 0) return refused;
        i++;
      } else if (this.#state === DATA) return this.#data(i, end);
      else if (this.#state === TRAILERS) return this.#trailerSection(buffer, i, end);
      else if (this.#state === DONE) return i;
      else if (buffer[i] === CR) {
        this.#state = LAST_LF;
        i++;
      } else this.#state = TRAILERS;
    }
    return i;
  }

  #data(at: number, end: number): number {
    const taken = Math.min(this.#remaining, end - at);
    this.#remaining -= taken;
    if (this.#remaining === 0) this.#state = DATA_CR;
    this.dataStart = at;
    this.dataEnd = at + taken;
    return this.dataEnd;
  }

  /** One byte of a chunk's line, or of the CRLF behind its data. Returns 0 or an ERR_ code. */
  #framing(byte: number): number {
    const state = this.#state;
    const next = nextState[state * CLASSES + classOf[byte]!]!;
    if (next === REFUSED) return refusalOf(state, byte);
    if (state <= LINE_LF) {
      if (++this.#lineBytes > CHUNK_LINE_BYTES_MAX) return ERR_CHUNK_LINE_TOO_LONG;
      if (next === SIZE) {
        if (++this.#digits > SIZE_DIGITS_MAX) return ERR_CHUNK_SIZE;
        this.#remaining = this.#remaining * 16 + HEX[byte]! - 1;
      } else if (state === LINE_LF) return this.#lineEnd();
    }
    this.#state = next;
    return 0;
  }

  #lineEnd(): number {
    const size = this.#remaining;
    this.#overhead = Math.max(0, this.#overhead + this.#lineBytes - LINE_BYTES_FREE - size);
    if (this.#overhead > CHUNK_OVERHEAD_BYTES_MAX) return ERR_CHUNK_OVERHEAD;
    this.#digits = this.#lineBytes = 0;
    this.#state = size === 0 ? TRAILER_FIRST : DATA;
    return 0;
  }

  #trailerSection(buffer: Buffer, at: number, end: number): number {
    const next = this.#trailers.take(buffer, at, end);
    if (next > 0 && this.#trailers.complete) this.#state = DONE;
    return next;
  }
}

function refusalOf(state: number, byte: number): number {
  if (byte === LF && state <= QUOTED_END) return ERR_BARE_LF;
  if (state === LINE_LF || state === DATA_LF || state === LAST_LF) return ERR_BARE_CR;
  if (state === DATA_CR) return ERR_CHUNK_END;
  return state <= SIZE ? ERR_CHUNK_SIZE : ERR_CHUNK_EXTENSION;
}

/** Writes the line of a chunk of `length` bytes, "1a2b" CRLF, and returns the offset behind it: at most 16 bytes. */
export function encodeChunkHead(into: Buffer, offset: number, length: number): number {
  let digits = 1;
  for (let rest = Math.floor(length / 16); rest > 0; rest = Math.floor(rest / 16)) digits++;
  let rest = length;
  for (let i = offset + digits - 1; i >= offset; i--) {
    const digit = rest % 16;
    into[i] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest = (rest - digit) / 16;
  }
  into[offset + digits] = CR;
  into[offset + digits + 1] = LF;
  return offset + digits + 2;
}
