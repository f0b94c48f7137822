/**
 * Keys of tokens. A key is for one algorithm, which was configured or stands in the key itself; what a token says of
 * its algorithm only chooses among the keys that there are, so that a public key can never be taken for a secret. HMAC
 * is node:crypto's, which answers at once; signatures are judged by jose, off this thread.
 */
import { createHmac, createPublicKey, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { isJsonObject, type JsonObject } from "./json.ts";
import type { ParsedToken } from "./parse.ts";

/** RFC 7518 section 3.1, with the hash of node:crypto. */
const HASHES: Readonly<Record<string, string>> = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };
export const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"] as const;
/** RFC 7518 section 3.1, RFC 8037 section 3.1, and RFC 9864 section 2.2 with a name for what EdDSA with this curve is. */
export const PUBLIC_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

const CURVES: Readonly<Record<string, string>> = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };
/** RFC 7518 section 3.3: 2048 or larger. */
const RSA_BITS_MIN = 2048;
/** What verifying one token may cost; an issuer has two or three keys, and some have a dozen. */
const KEYS_OF_SET_MAX = 64;

export interface TokenKey {
  /** null: it is tried for tokens with any key id. */
  readonly id: string | null;
  readonly algorithm: string;
  readonly key: KeyObject;
}

export function secretKey(id: string | null, algorithm: string, secret: Uint8Array): TokenKey {
  return { id, algorithm, key: createSecretKey(secret) };
}

/** The public key in a PEM text (SPKI, PKCS #1 or a certificate); null when there is none for the algorithm. */
export function publicKeyOfPem(pem: string, algorithm: string): KeyObject | null {
  return keyFor(algorithm, () => createPublicKey(pem));
}

/** The secret of a JWK (RFC 7518 section 6.4); null when it has none. */
export function secretOfJwk({ kty, k }: JsonObject): Buffer | null {
  return kty === "oct" && typeof k === "string" && k !== "" ? Buffer.from(k, "base64url") : null;
}

/**
 * The keys of a JWK Set (RFC 7517) that may verify, each once for every algorithm that it is for: its own `alg`,
 * otherwise all of `algorithms` that fit. What cannot be used is passed over, as section 5 asks for: a set may be newer
 * than its readers.
 */
export function keysOfJwkSet(set: unknown, algorithms: readonly string[]): TokenKey[] {
  const jwks = isJsonObject(set) && Array.isArray(set.keys) ? set.keys.filter(isJsonObject) : [];
  return jwks.slice(0, KEYS_OF_SET_MAX).flatMap((jwk) => keysOfJwk(jwk, algorithms));
}

function keysOfJwk(jwk: JsonObject, algorithms: readonly string[]): TokenKey[] {
  const { kty, kid, alg, use, key_ops: operations } = jwk;
  if (kty === "oct" || (use !== undefined && use !== "sig")) return [];
  if (Array.isArray(operations) && !operations.includes("verify")) return [];
  return algorithms
    .filter((algorithm) => alg === undefined || alg === algorithm)
    .flatMap((algorithm) => {
      const key = keyFor(algorithm, () => createPublicKey({ key: jwk, format: "jwk" }));
      return key === null ? [] : [{ id: typeof kid === "string" ? kid : null, algorithm, key }];
    });
}

function keyFor(algorithm: string, read: () => KeyObject): KeyObject | null {
  try {
    const key = read();
    return isFor(algorithm, key) ? key : null;
  } catch {
    return null;
  }
}

function isFor(algorithm: string, { asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  if (algorithm === "EdDSA" || algorithm === "Ed25519") return type === "ed25519";
  if (/^[RP]S/.test(algorithm)) return type === "rsa" && (details?.modulusLength ?? 0) >= RSA_BITS_MIN;
  return type === "ec" && details?.namedCurve === CURVES[algorithm];
}

/** Among `keys`, those that a token may be by: of its algorithm, and with its key id where both have one. */
export function keysForToken(keys: readonly TokenKey[], algorithm: string, keyId: string | null): readonly TokenKey[] {
  const fitting = keys.filter(
    (key) => key.algorithm === algorithm && (keyId === null || key.id === null || key.id === keyId),
  );
  const named = keyId === null ? [] : fitting.filter(({ id }) => id === keyId);
  return named.length > 0 ? named : fitting;
}

export function isSecretAlgorithm(algorithm: string): boolean {
  return Object.hasOwn(HASHES, algorithm);
}

/** Whether the token's HMAC is by one of the secrets, which must be of its algorithm. In constant time for each. */
export function hasHmacOf(token: ParsedToken, keys: readonly TokenKey[]): boolean {
  const signed = token.text.slice(0, token.signedLength);
  return keys.some(({ algorithm, key }) => {
    const expected = createHmac(HASHES[algorithm]!, key).update(signed).digest();
    return expected.length === token.signature.length && timingSafeEqual(expected, token.signature);
  });
}

/** Whether the token's signature is by one of the public keys, which must be of its algorithm. Never rejects. */
export async function hasSignatureOf(token: ParsedToken, keys: readonly TokenKey[]): Promise<boolean> {
  // Only where it is needed: most who have secrets have no public keys.
  const { compactVerify } = await import("jose");
  for (const { algorithm, key } of keys) {
    try {
      await compactVerify(token.text, key, { algorithms: [algorithm] });
      return true;
    } catch {
      // By another key, perhaps; jose says no more than that it is not by this one.
    }
  }
  return false;
}
