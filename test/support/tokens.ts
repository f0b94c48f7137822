// Tokens for tests: signed as an issuer signs them, or wrongly in any way that is asked for. Made with node:crypto
// alone, so that what verifies them is judged by something else.

import { constants, createHmac, type KeyObject, sign } from "node:crypto";

export type Claims = Readonly<Record<string, unknown>>;

const base64url = (value: string | Uint8Array) => Buffer.from(value as string).toString("base64url");

/** "HEADER.CLAIMS" of any two values; strings are taken as the JSON itself. */
export function signingInput(header: unknown, claims: unknown): string {
  const json = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return `${base64url(json(header))}.${base64url(json(claims))}`;
}

const HASHES: Readonly<Record<string, string>> = { "256": "sha256", "384": "sha384", "512": "sha512" };

/** A token by a shared secret. `header` is added to `alg`. */
export function hmacToken(
  claims: unknown,
  secret: string | Uint8Array,
  algorithm = "HS256",
  header: Claims = {},
): string {
  return hmacSigned(signingInput({ alg: algorithm, typ: "JWT", ...header }, claims), secret, algorithm);
}

/** The token of a signing input, by the hash of the algorithm. */
export function hmacSigned(input: string, secret: string | Uint8Array, algorithm = "HS256"): string {
  return `${input}.${createHmac(HASHES[algorithm.slice(2)]!, secret).update(input).digest("base64url")}`;
}

/** A token by a private key. */
export function signedToken(claims: unknown, key: KeyObject, algorithm: string, header: Claims = {}): string {
  const input = signingInput({ alg: algorithm, typ: "JWT", ...header }, claims);
  const hash = algorithm === "EdDSA" ? null : HASHES[algorithm.slice(2)]!;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const how = algorithm.startsWith("PS")
    ? pss
    : algorithm.startsWith("ES")
      ? { dsaEncoding: "ieee-p1363" as const }
      : {};
  return `${input}.${sign(hash, Buffer.from(input), { key, ...how }).toString("base64url")}`;
}

/** Seconds since 1970, on a clock and so much later. */
export function secondsFrom(clock: { wallMs(): number }, seconds: number): number {
  return Math.floor(clock.wallMs() / 1000) + seconds;
}
