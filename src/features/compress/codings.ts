/**
 * The content codings that answers can be given, as node:zlib makes them. It decides parameters and knows their price
 * in memory; which answer gets which coding is decided elsewhere.
 *
 * Windows are 512 KiB where the library's own choice is larger: answers on the way are rarely longer, and the memory of
 * every encoder, and of every decoder, grows with the window (RFC 9659 bounds it for zstd at 8 MiB).
 */
import zlib from "node:zlib";
import type { ContentEncoding } from "./options.ts";

const KiB = 1024;
const WINDOW_LOG2 = 19;

export type Encoder = zlib.Gzip | zlib.BrotliCompress | zlib.ZstdCompress;

export interface Coding {
  readonly name: ContentEncoding;
  create(): Encoder;
  /** Encodes a whole body in this turn; null when the level is too slow for that. */
  readonly encodeNow: ((bytes: Buffer) => Buffer) | null;
  /** Argument of `flush` that lets the receiver decode everything so far. */
  readonly flushKind: number;
  /** Memory of one encoder, measured with the window above and rounded up. */
  readonly memoryBytes: number;
}

const MAKERS: Readonly<Record<ContentEncoding, (level: number) => Coding>> = {
  gzip: (level) => ({
    name: "gzip",
    create: () => zlib.createGzip({ level }),
    encodeNow: (bytes) => zlib.gzipSync(bytes, { level }),
    flushKind: zlib.constants.Z_SYNC_FLUSH,
    memoryBytes: 256 * KiB,
  }),
  br: (level) => {
    const params = {
      [zlib.constants.BROTLI_PARAM_QUALITY]: level,
      [zlib.constants.BROTLI_PARAM_LGWIN]: WINDOW_LOG2,
    };
    return {
      name: "br",
      create: () => zlib.createBrotliCompress({ params }),
      encodeNow: level > 6 ? null : (bytes) => zlib.brotliCompressSync(bytes, { params }),
      flushKind: zlib.constants.BROTLI_OPERATION_FLUSH,
      memoryBytes: (level <= 6 ? 1280 : level <= 9 ? 2304 : 8192) * KiB,
    };
  },
  zstd: (level) => {
    const params = {
      [zlib.constants.ZSTD_c_compressionLevel]: level,
      [zlib.constants.ZSTD_c_windowLog]: WINDOW_LOG2,
    };
    return {
      name: "zstd",
      create: () => zlib.createZstdCompress({ params }),
      encodeNow: level > 6 ? null : (bytes) => zlib.zstdCompressSync(bytes, { params }),
      flushKind: zlib.constants.ZSTD_e_flush,
      memoryBytes: (level <= 3 ? 1536 : level <= 9 ? 11 * KiB : 84 * KiB) * KiB,
    };
  },
};

/** The codings at their levels, in the given order; without those that this Node does not have. */
export function makeCodings(
  names: readonly ContentEncoding[],
  levels: Readonly<Record<ContentEncoding, number>>,
): ReadonlyMap<string, Coding> {
  const available = names.filter((name) => name !== "zstd" || typeof zlib.createZstdCompress === "function");
  return new Map(available.map((name) => [name, MAKERS[name](levels[name])]));
}
