/**
 * The body of an answer with several ranges: multipart/byteranges (RFC 9110, section 14.6). It makes what stands between the ranges
 * and counts the length before anything is sent; the bytes of the ranges are put between by who has them.
 */
import { type ByteRange, contentRange } from "./ranges.ts";

export interface MultipartPart {
  /** What goes before the bytes of the range. */
  readonly head: Buffer;
  readonly range: ByteRange;
}

export interface MultipartBody {
  /** The value of Content-Type. */
  readonly contentType: string;
  readonly parts: readonly MultipartPart[];
  /** What goes behind the last range. */
  readonly tail: Buffer;
  /** Of all of it. */
  readonly bytes: number;
}

/**
 * `boundary`: at most 70 letters and digits that nobody could have foreseen, so that they occur in no range. `contentType` is that of
 * the representation; null: it has none.
 */
export function multipartBody(
  ranges: readonly ByteRange[],
  completeBytes: number,
  contentType: string | null,
  boundary: string,
): MultipartBody {
  const typeLine = contentType === null ? "" : `Content-Type: ${contentType}\r\n`;
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1");
  let bytes = tail.length;
  const parts = ranges.map((range, index): MultipartPart => {
    const rangeLine = `Content-Range: ${contentRange(range, completeBytes)}\r\n`;
    const text = `${index === 0 ? "" : "\r\n"}--${boundary}\r\n${typeLine}${rangeLine}\r\n`;
    const head = Buffer.from(text, "latin1");
    bytes += head.length + range.end - range.start;
    return { head, range };
  });
  return { contentType: `multipart/byteranges; boundary=${boundary}`, parts, tail, bytes };
}
