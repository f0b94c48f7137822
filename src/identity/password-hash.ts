/**
 * Hashes of passwords as files and configurations have them: which are taken, what they cost, and which are refused with a
 * word on what to do. It computes no hash of a password.
 *
 * Taken are bcrypt, as `htpasswd -B` makes it, and argon2id. Everything else is either broken by any graphics card (apr1,
 * crypt, {SHA}) or made for other ends.
 */
import { createHash } from "node:crypto";

export interface PasswordHash {
  /** As it was written. */
  readonly text: string;
  readonly kind: "bcrypt" | "argon2id";
  /** Algorithm and costs, up to and with the last "$" before the salt: equal ones take equally long. */
  readonly costs: string;
  readonly saltBytes: number;
  readonly digestBytes: number;
}

export type HashVerdict =
  | { readonly ok: true; readonly hash: PasswordHash }
  | { readonly ok: false; readonly why: string };

/** A second of one core. The usual costs are 10 and 12; each step doubles the time. */
export const BCRYPT_COST_MAX = 14;
/** Each verification that runs takes so much memory. RFC 9106 section 4 recommends 64 MiB where memory is scarce. */
export const ARGON2_MEMORY_KIB_MAX = 128 * 1024;
/** Passes over the memory, so that one verification stays around a second. RFC 9106 recommends 3. */
export const ARGON2_PASSES_MAX = 10;
export const ARGON2_LANES_MAX = 16;

const BCRYPT = /^(\$2[aby]\$(\d\d)\$)[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[./A-Za-z0-9]$/;
const ARGON2ID =
  /^(\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,5}),p=(\d{1,3})\$)([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** What is refused by its beginning. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/^\$apr1\$/, "apr1 (MD5) is not safe any more"],
  [/^\$1\$/, "md5crypt is not safe any more"],
  [/^\{SHA\}/i, "an unsalted SHA-1 is not safe"],
  [/^\{SSHA\}/i, "SHA-1 is not safe"],
  [/^\$[56]\$/, "sha-crypt is not supported"],
  [/^\$argon2(i|d)\$/, "of argon2 only argon2id is supported"],
  [/^\$argon2id\$(?!v=19\$)/, "of argon2id only version 19 is supported"],
  [/^\$y\$|^\$7\$/, "yescrypt and scrypt are not supported"],
  [/^[./A-Za-z0-9]{13}$/, "crypt (DES), or a password as it is, is not safe"],
];

const INSTEAD = "make the hash anew with `headgate user` or `htpasswd -B`";

/** The sentence of a refusal never shows the hash, which may be a password. */
export function judgeHash(text: string): HashVerdict {
  const bcrypt = BCRYPT.exec(text);
  if (bcrypt !== null) {
    const cost = Number(bcrypt[2]);
    if (cost < 4 || cost > 31) return refused("bcrypt has costs from 4 to 31");
    if (cost > BCRYPT_COST_MAX)
      return refused(`a bcrypt cost of ${cost} is above ${BCRYPT_COST_MAX}`, `${INSTEAD} -C 12`);
    return { ok: true, hash: { text, kind: "bcrypt", costs: bcrypt[1]!, saltBytes: 16, digestBytes: 23 } };
  }
  const argon2 = ARGON2ID.exec(text);
  if (argon2 !== null) return judgeArgon2(text, argon2);
  for (const [pattern, why] of REFUSED) if (pattern.test(text)) return refused(why);
  if (/^\$2/.test(text)) return refused("this bcrypt hash is not whole");
  if (/^\$argon2id/.test(text)) return refused("this argon2id hash is not whole");
  return refused("this is no hash of a password that is supported (bcrypt, argon2id)");
}

function judgeArgon2(text: string, match: RegExpExecArray): HashVerdict {
  const [, costs = "", memory, passes, lanes, salt = "", digest = ""] = match;
  const [memoryKiB, t, p] = [Number(memory), Number(passes), Number(lanes)];
  const make = "make the hash anew with less, such as m=65536,t=3,p=1";
  if (memoryKiB > ARGON2_MEMORY_KIB_MAX)
    return refused(`argon2id with ${memoryKiB} KiB of memory is above ${ARGON2_MEMORY_KIB_MAX}`, make);
  if (t > ARGON2_PASSES_MAX) return refused(`argon2id with ${t} passes is above ${ARGON2_PASSES_MAX}`, make);
  if (p > ARGON2_LANES_MAX) return refused(`argon2id with ${p} lanes is above ${ARGON2_LANES_MAX}`, make);
  // RFC 9106 section 3.1: at least one pass, one lane, and 8 KiB for each lane.
  if (t < 1 || p < 1 || memoryKiB < 8 * p) return refused("the costs of this argon2id hash are impossible");
  const [saltBytes, digestBytes] = [bytesOf(salt), bytesOf(digest)];
  if (saltBytes === null || digestBytes === null || saltBytes < 8 || saltBytes > 64 || digestBytes < 16)
    return refused("this argon2id hash is not whole");
  return { ok: true, hash: { text, kind: "argon2id", costs, saltBytes, digestBytes } };
}

function refused(why: string, instead = INSTEAD): HashVerdict {
  return { ok: false, why: `${why}: ${instead}` };
}

/** Of base64 without padding, in its one spelling; null: it is none. */
function bytesOf(base64: string): number | null {
  const bytes = Buffer.from(base64, "base64");
  return bytes.toString("base64").replace(/=+$/, "") === base64 ? bytes.length : null;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_OF_BCRYPT = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/**
 * A hash that costs what `model` costs and that no password has: salt and digest come of `secret` and `name`, so that the
 * same name always has the same one.
 */
export function standInHash(model: PasswordHash, secret: Uint8Array, name: string): string {
  const { kind, costs, saltBytes, digestBytes } = model;
  const bytes = createHash("shake256", { outputLength: saltBytes + digestBytes })
    .update(secret)
    .update(name)
    .digest();
  const salt = bytes.subarray(0, saltBytes).toString("base64").replace(/=+$/, "");
  const digest = bytes.subarray(saltBytes).toString("base64").replace(/=+$/, "");
  if (kind === "argon2id") return `${costs}${salt}$${digest}`;
  return costs + (salt + digest).replace(/./g, (letter) => BASE64_OF_BCRYPT.charAt(BASE64.indexOf(letter)));
}
