/**
 * The trailer section behind the last chunk: gathered until it is complete, within its limit, then read like the fields
 * of a head. Fields that a sender may not put there (RFC 9110, section 6.5.1) are dropped, not refused: nothing that we
 * forward takes a trailer for a header, so they can do no harm but to who would believe them, and the body they follow
 * is whole.
 */
import { acquireStorage, FieldBlock, type FieldStorage, releaseStorage } from "../../core/fields.ts";
import { FIELDS_MAX, TRAILER_BYTES_MAX } from "../../core/limits.ts";
import { CR, LF } from "./characters.ts";
import { ERR_TRAILERS_TOO_LARGE } from "./errors.ts";
import { FieldSection, parseFieldLines } from "./field-lines.ts";
import { SENTINEL_BYTES } from "./head.ts";

/**
 * What frames a message, routes it, changes what it asks for, proves who sent it, or says how its content is to be
 * read.
 */
export const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  ...[
    "content-length",
    "transfer-encoding",
    "trailer",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
  ],
  ...["host", "max-forwards", "via", "forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"],
  ...["x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "location", "content-location"],
  ...["expect", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "pragma"],
  ...["cache-control", "age", "expires", "date", "vary", "warning", "retry-after", "content-disposition"],
  ...["authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "cookie", "set-cookie"],
  ...["authentication-info", "proxy-authentication-info", "strict-transport-security"],
  ...["content-encoding", "content-type", "content-range"],
]);

const section = new FieldSection();

/** Gathers one section after the other. The memory of a section goes back with `reset`. */
export class TrailerReader {
  /** The fields of the complete section; null when none are left of it, or none has come. */
  fields: FieldBlock | null = null;
  #storage: FieldStorage | null = null;
  #length = 0;

  reset(): void {
    if (this.fields !== null) this.fields.release();
    else if (this.#storage !== null) releaseStorage(this.#storage);
    this.fields = null;
    this.#storage = null;
    this.#length = 0;
  }

  /** They are the caller's from now on, who releases them. */
  give(): FieldBlock | null {
    const { fields } = this;
    if (fields !== null) this.fields = this.#storage = null;
    return fields;
  }

  /**
   * Takes `buffer[at, end)` up to the end of the section, and returns the offset behind what it took, or an ERR_ code.
   * The section is complete when `complete` says so.
   */
  take(buffer: Buffer, at: number, end: number): number {
    this.#storage ??= acquireStorage();
    const storage = this.#storage;
    let i = at;
    while (i < end) {
      let lineEnd = i;
      while (lineEnd < end && buffer[lineEnd++] !== LF);
      const length = this.#length + lineEnd - i;
      if (length > TRAILER_BYTES_MAX) return ERR_TRAILERS_TOO_LARGE;
      storage.growBytes(length + SENTINEL_BYTES, this.#length);
      buffer.copy(storage.bytes, this.#length, i, lineEnd);
      this.#length = length;
      i = lineEnd;
      if (this.complete) {
        const refused = this.#read(storage);
        return refused < 0 ? refused : i;
      }
    }
    return i;
  }

  /**
   * The last line that was gathered is the empty one. Bare LF ends a line here, so that it is refused at once and not
   * waited on.
   */
  get complete(): boolean {
    const bytes = this.#storage?.bytes;
    const end = this.#length - 1;
    if (bytes === undefined || bytes[end] !== LF) return false;
    const before = bytes[end - 1] === CR ? end - 2 : end - 1;
    return before < 0 || bytes[before] === LF;
  }

  #read(storage: FieldStorage): number {
    storage.bytes[this.#length] = 0;
    const read = parseFieldLines(storage, 0, this.#length, FIELDS_MAX, section);
    if (read < 0) return read;
    const fields = new FieldBlock();
    fields.adopt(storage, section.rows, section.fieldsStart, section.fieldsEnd, section.seen);
    let kept = 0;
    for (let row = 0; row < section.rows; row++) {
      if (FORBIDDEN_TRAILERS.has(fields.nameAt(row).toLowerCase())) fields.removeRow(row);
      else kept++;
    }
    if (kept > 0) this.fields = fields;
    return 0;
  }
}
