/**
 * The envelope in which a secret lies in a store or in a cookie: encrypted, authenticated, and bound to the place where
 * it lies, so that a copy of it under another key opens nothing. It is text, base64url without padding of these bytes:
 *
 *     version 1: AES-256-GCM                       version 2: AES-256-CBC with HMAC-SHA-256, for older stores
 *     offset  bytes                                offset  bytes
 *     0       1      01                            0       1      02
 *     1       4      key id                        1       4      key id
 *     5       12     nonce                         5       16     initialisation vector
 *     17      n      ciphertext                    21      16 n   ciphertext, padded (RFC 5652 section 6.3)
 *     17 + n  16     tag                           21+16n  32     tag
 *
 * - The plaintext is UTF-8. So is the context: the name of the place, such as the key of the session's record.
 * - The key id is the first 4 bytes of HMAC-SHA-256(key, "headgate key id"). It says which of several keys to use, and
 *   nothing else.
 * - Version 1 has the context as its associated data, and a tag of 16 bytes. Nonces are random, which is safe for 2^32
 *   envelopes of one key (NIST SP 800-38D section 8.3).
 * - Version 2 encrypts, then authenticates: with HMAC-SHA-256(key, "headgate cbc encryption") the one and with
 *   HMAC-SHA-256(key, "headgate cbc authentication") the other. The tag is the HMAC-SHA-256 of the context, all bytes
 *   before the tag, and the length of the context in bits as 8 bytes, most significant first (as in RFC 7518 section
 *   5.2.2.1). It is compared in constant time before anything is decrypted, so that the padding tells nobody anything.
 *
 * The version belongs to the key, as it was configured, and never to the envelope. What is wrong with an envelope that
 * does not open is not told to anybody.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { EnvelopeKeys } from "./options.ts";

const VERSION_GCM = 1;
const VERSION_CBC = 2;
const KEY_ID_BYTES = 4;
const BODY = 1 + KEY_ID_BYTES;
const NONCE_BYTES = 12;
const GCM_TAG_BYTES = 16;
const BLOCK_BYTES = 16;
const HMAC_BYTES = 32;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

interface RingEntry {
  readonly version: number;
  readonly id: Buffer;
  /** Of the encryption itself. */
  readonly key: Buffer;
  /** Of the tag, in version 2. */
  readonly tagKey: Buffer;
}

/**
 * Keys that open envelopes; the first one seals them. So a key is changed by putting the new one in front of the old
 * one.
 */
export class KeyRing {
  readonly entries: readonly RingEntry[];

  /** @throws TypeError when there is no key, a key is none of 256 bits, or two have the same id, being the same. */
  constructor(keys: EnvelopeKeys) {
    if (keys.length === 0) throw new TypeError("a key ring needs a key");
    this.entries = keys.map(entryOf);
    const names = new Set(this.entries.map(({ version, id }) => `${version} ${id.toString("hex")}`));
    if (names.size < keys.length) throw new TypeError("two keys of the key ring are the same");
  }
}

function entryOf({ algorithm, key: digits }: EnvelopeKeys[number]): RingEntry {
  const key = Buffer.from(digits, "hex");
  if (key.length !== 32 || digits.length !== 64) throw new TypeError("a key of the key ring has not 256 bits");
  const id = derive(key, "headgate key id").subarray(0, KEY_ID_BYTES);
  if (algorithm === "aes-256-gcm") return { version: VERSION_GCM, id, key, tagKey: Buffer.alloc(0) };
  const tagKey = derive(key, "headgate cbc authentication");
  return { version: VERSION_CBC, id, key: derive(key, "headgate cbc encryption"), tagKey };
}

function derive(key: Buffer, purpose: string): Buffer {
  return createHmac("sha256", key).update(purpose).digest();
}

/**
 * The envelope of `plaintext`, which opens only with the same context.
 * @throws TypeError on text that has no UTF-8, such as half a surrogate pair.
 */
export function seal(ring: KeyRing, plaintext: string, context: string): string {
  return sealWithNonce(ring, plaintext, context, randomBytes);
}

/**
 * `seal` with the nonce or initialisation vector of the caller, for test vectors. Used twice, it gives away what it
 * protects.
 */
export function sealWithNonce(
  ring: KeyRing,
  plaintext: string,
  context: string,
  nonceOf: (bytes: number) => Buffer,
): string {
  if (!plaintext.isWellFormed() || !context.isWellFormed()) throw new TypeError("the text to seal is not well-formed");
  const entry = ring.entries[0]!;
  const { version, id, key } = entry;
  if (version === VERSION_GCM) {
    const nonce = nonceOf(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: GCM_TAG_BYTES });
    cipher.setAAD(Buffer.from(context));
    const parts = [Buffer.of(version), id, nonce, cipher.update(plaintext, "utf8"), cipher.final()];
    return Buffer.concat([...parts, cipher.getAuthTag()]).toString("base64url");
  }
  const vector = nonceOf(BLOCK_BYTES);
  const cipher = createCipheriv("aes-256-cbc", key, vector);
  const head = Buffer.concat([Buffer.of(version), id, vector, cipher.update(plaintext, "utf8"), cipher.final()]);
  return Buffer.concat([head, tagOf(entry, head, context)]).toString("base64url");
}

/** What was sealed; null when the envelope is none, is of no key of the ring, or was sealed for another context. */
export function open(ring: KeyRing, envelope: string, context: string): string | null {
  const bytes = Buffer.from(envelope, "base64url");
  // The decoder takes what it can; only the one text that these bytes have is an envelope.
  if (bytes.toString("base64url") !== envelope || !context.isWellFormed()) return null;
  const entry = entryFor(ring, bytes);
  if (entry === null) return null;
  const plaintext = entry.version === VERSION_GCM ? openGcm(entry, bytes, context) : openCbc(entry, bytes, context);
  return plaintext === null ? null : textOf(plaintext);
}

function entryFor({ entries }: KeyRing, bytes: Buffer): RingEntry | null {
  for (const entry of entries) {
    if (entry.version === bytes[0] && entry.id.equals(bytes.subarray(1, BODY))) return entry;
  }
  return null;
}

function openGcm({ key }: RingEntry, bytes: Buffer, context: string): Buffer | null {
  const start = BODY + NONCE_BYTES;
  const end = bytes.length - GCM_TAG_BYTES;
  if (end < start) return null;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(BODY, start), { authTagLength: GCM_TAG_BYTES });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(end));
  return decipherWhole(decipher, bytes.subarray(start, end));
}

function openCbc(entry: RingEntry, bytes: Buffer, context: string): Buffer | null {
  const start = BODY + BLOCK_BYTES;
  const end = bytes.length - HMAC_BYTES;
  if (end <= start || (end - start) % BLOCK_BYTES !== 0) return null;
  if (!timingSafeEqual(tagOf(entry, bytes.subarray(0, end), context), bytes.subarray(end))) return null;
  const decipher = createDecipheriv("aes-256-cbc", entry.key, bytes.subarray(BODY, start));
  return decipherWhole(decipher, bytes.subarray(start, end));
}

/** A tag that is wrong is an exception in node:crypto; here it is an outcome like any other. */
function decipherWhole(decipher: ReturnType<typeof createDecipheriv>, ciphertext: Buffer): Buffer | null {
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch {
    return null;
  }
}

function tagOf({ tagKey }: RingEntry, head: Buffer, context: string): Buffer {
  const name = Buffer.from(context);
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(name.length) * 8n);
  return createHmac("sha256", tagKey).update(name).update(head).update(bits).digest();
}

function textOf(bytes: Buffer): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}
