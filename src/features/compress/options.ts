/** Options of `compress`: which codings, for what, how hard. */
import { z } from "zod";
import { size } from "../../core/option-types.ts";

/** Best ratio for the time first; the client's own preferences (q-values) come before this order. */
const ENCODINGS = ["zstd", "br", "gzip"] as const;

/** Below this a body fits in one packet either way. Caddy 512, nginx 20, Cloudflare 48-50. */
const MIN_SIZE = "1KiB";

/** What is text and not compressed already. Images, video, audio and archives are. */
const TYPES = [
  "text/*",
  "application/json",
  "application/javascript",
  "application/xml",
  "application/*+json",
  "application/*+xml",
  "application/manifest+json",
  "application/wasm",
  "image/svg+xml",
  "font/otf",
  "font/ttf",
];

/** Levels for answers that are made once: the knee of time against ratio. Caddy gzip 5, nginx brotli 6, zstd's own 3. */
const GZIP_LEVEL = 5;
const BR_LEVEL = 4;
const ZSTD_LEVEL = 3;

const mediaType = z
  .string()
  .regex(/^[a-z0-9!#$&^_.-]+\/(\*|\*?[a-z0-9!#$&^_.+-]+)$/i, {
    error: (issue) =>
      `expected a media type such as text/html, text/* or application/*+json, got ${JSON.stringify(issue.input)}`,
  })
  .transform((type) => type.toLowerCase());

const level = z.strictObject({
  gzip: z.int().min(1).max(9).default(GZIP_LEVEL).describe("Effort of gzip, 1 to 9."),
  br: z
    .int()
    .min(0)
    .max(11)
    .default(BR_LEVEL)
    .describe("Effort of Brotli, 0 to 11. Above 6 it is too slow for answers made on the fly."),
  zstd: z.int().min(1).max(19).default(ZSTD_LEVEL).describe("Effort of Zstandard, 1 to 19."),
});

const longForm = z.strictObject({
  encodings: z
    .array(z.enum(ENCODINGS))
    .min(1)
    .default([...ENCODINGS])
    .describe("Codings to offer. Among those that the client wants equally, the first one is taken."),
  minBytes: size().prefault(MIN_SIZE).describe("Answers that are known to be shorter than this stay as they are."),
  types: z
    .array(mediaType)
    .min(1)
    .prefault(TYPES)
    .describe("Media types to compress. `text/*` is all of a type, `application/*+json` all with a suffix."),
  level: level.prefault({}).describe("How hard each coding tries."),
});

export const compressOptions = z
  .union([z.literal(true).transform(() => longForm.parse({})), longForm])
  .describe(
    "Compresses answers for clients that accept it. Never what is encoded already, partial content, or an answer with `Cache-Control: no-transform`. `true` takes all the defaults.",
  );

export type ContentEncoding = (typeof ENCODINGS)[number];
/** `minBytes` in bytes, `types` in lower case; `encodings` in the order of preference. */
export type CompressOptions = z.output<typeof longForm>;
