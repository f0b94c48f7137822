/**
 * The field names that the proxy itself must recognise, as small numbers. A name on the wire is recognised by its
 * length and bytes, compared without case, and never becomes a string for that.
 */

/** Any other name. */
export const FIELD_OTHER = 0;

/**
 * The recognised names; a name's place in this list plus one is its number. The first 31 are those whose absence the
 * proxy wants to know without a search: what frames a message, belongs to one connection, routes it or says who sent
 * it. Their numbers fit in a mask of bits; the order has no other meaning.
 */
const NAMES = [
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "proxy-authenticate",
  "expect",
  "via",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-real-ip",
  "max-forwards",
  "accept-encoding",
  "range",
  "date",
  "proxy-status",
  "content-encoding",
  "content-type",
  "cache-control",
  "vary",
  "authorization",
  "cookie",
  // From here on no bit of a mask is left.
  "set-cookie",
  "accept",
  "user-agent",
  "referer",
  "server",
  "etag",
  "last-modified",
  "x-request-id",
  "proxy-authentication-info",
  // The conditions of requests stand together: whether there is one is asked of every request that a cache might answer.
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "pragma",
] as const;

export type KnownFieldName = (typeof NAMES)[number];

const idByName = new Map<string, number>(NAMES.map((name, index) => [name, index + 1]));

/** The number of a name in lower case; FIELD_OTHER when it is not one of ours. */
export function fieldIdOf(lowerName: string): number {
  return idByName.get(lowerName) ?? FIELD_OTHER;
}

function known(name: KnownFieldName): number {
  return idByName.get(name)!;
}

export const FIELD_HOST = known("host");
export const FIELD_CONNECTION = known("connection");
export const FIELD_CONTENT_LENGTH = known("content-length");
export const FIELD_TRANSFER_ENCODING = known("transfer-encoding");
export const FIELD_TE = known("te");
export const FIELD_TRAILER = known("trailer");
export const FIELD_UPGRADE = known("upgrade");
export const FIELD_KEEP_ALIVE = known("keep-alive");
export const FIELD_PROXY_CONNECTION = known("proxy-connection");
export const FIELD_PROXY_AUTHORIZATION = known("proxy-authorization");
export const FIELD_PROXY_AUTHENTICATE = known("proxy-authenticate");
export const FIELD_PROXY_AUTHENTICATION_INFO = known("proxy-authentication-info");
export const FIELD_EXPECT = known("expect");
export const FIELD_VIA = known("via");
export const FIELD_FORWARDED = known("forwarded");
export const FIELD_X_FORWARDED_FOR = known("x-forwarded-for");
export const FIELD_X_FORWARDED_PROTO = known("x-forwarded-proto");
export const FIELD_X_FORWARDED_HOST = known("x-forwarded-host");
export const FIELD_X_FORWARDED_PORT = known("x-forwarded-port");
export const FIELD_X_FORWARDED_PREFIX = known("x-forwarded-prefix");
export const FIELD_X_REAL_IP = known("x-real-ip");
export const FIELD_DATE = known("date");
export const FIELD_MAX_FORWARDS = known("max-forwards");
export const FIELD_AUTHORIZATION = known("authorization");
export const FIELD_COOKIE = known("cookie");

/** 'A'-'Z' to lower case, all other bytes unchanged. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));

/** The bit of a number in a mask of those that a section contains; 0 for FIELD_OTHER and for numbers above 31. */
export const FIELD_BIT = Int32Array.from({ length: NAMES.length + 1 }, (_, id) => (id > 0 && id < 32 ? 1 << id : 0));

/**
 * A name is looked up by its length and its first and last letter: chains of numbers, most of one link. The bytes
 * decide, so a name that shares a slot with one of ours costs a few compares, and is never taken for it. They are
 * compared four at a time, the last four perhaps twice.
 */
const SLOTS = 256;
const NONE = FIELD_OTHER;
const WORDS_MAX = Math.ceil(Math.max(...NAMES.map((name) => name.length)) / 4);
const firstInSlot = new Uint8Array(SLOTS);
const nextInSlot = new Uint8Array(NAMES.length + 1);
const nameLength = new Uint8Array(NAMES.length + 1);
/** The words of the name with number `id` begin at `id * WORDS_MAX`. */
const nameWords = new Int32Array((NAMES.length + 1) * WORDS_MAX);

/** Any function of the three would do; with these factors nearly every name has a slot of its own. */
function slotOf(length: number, first: number, last: number): number {
  return (length + (first | 0x20) * 16 + (last | 0x20) * 14) & (SLOTS - 1);
}

/** Four bytes in lower case; of a shorter name two and its last. */
function wordAt(bytes: Uint8Array, at: number, last: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[last - 1]! << 16) | (bytes[last]! << 24) | 0x20202020;
}

for (const [name, id] of idByName) {
  const bytes = Uint8Array.from(name, (character) => character.charCodeAt(0));
  const { length } = bytes;
  nameLength[id] = length;
  let word = id * WORDS_MAX;
  for (let i = 0; i + 4 < length; i += 4) nameWords[word++] = wordAt(bytes, i, i + 3);
  nameWords[word] = wordAt(bytes, Math.max(length - 4, 0), length - 1);
  const slot = slotOf(length, bytes[0]!, bytes[length - 1]!);
  nextInSlot[id] = firstInSlot[slot]!;
  firstInSlot[slot] = id;
}

/**
 * The number of the name at `bytes[start, end)`, whatever its case. There must be at least one byte, and no control
 * among them: then setting one bit makes a letter lower case and leaves "-" alone, and nothing else becomes either.
 */
export function fieldIdAt(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const lastWord = start + Math.max(length - 4, 0);
  for (let id = firstInSlot[slotOf(length, bytes[start]!, bytes[end - 1]!)]!; id !== NONE; id = nextInSlot[id]!) {
    if (nameLength[id] !== length) continue;
    let word = id * WORDS_MAX;
    let difference = 0;
    for (let i = start; i < lastWord; i += 4) difference |= wordAt(bytes, i, i + 3) ^ nameWords[word++]!;
    difference |= wordAt(bytes, lastWord, end - 1) ^ nameWords[word]!;
    if (difference === 0) return id;
  }
  return NONE;
}
