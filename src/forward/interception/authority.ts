/**
 * The authority of interception: an internal CA whose certificate clients trust, and the leaves that it issues. What it is given
 * is checked before anybody uses it: a certificate of a CA, in its time, with the key that belongs to it. It reads no files and no
 * clock, and keeps nothing of what it issues.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import type { LeafName } from "./leaf-names.ts";
import { decodeConstraints, type NameConstraints, permits } from "./name-constraints.ts";
import {
  type Extension,
  NAME_CONSTRAINTS,
  type Name,
  SERVER_AUTHENTICATION,
  SUBJECT_KEY_IDENTIFIER,
  x509,
} from "./x509.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A leaf lives so briefly that nobody needs to revoke one, and so long that a host costs one certificate a week. */
export const LEAF_LIFE_MS = 7 * DAY_MS;
/** Certificates begin in the past: clocks of clients that are slow by less than this take them all the same. */
export const BACKDATED_MS = HOUR_MS;
/** The end of a CA is told this long before: its successor must reach every client first. */
const EXPIRY_NOTICE_MS = 30 * DAY_MS;
/** RFC 5280 appendix A.1, ub-common-name. */
export const COMMON_NAME_CHARACTERS_MAX = 64;
/** CA/Browser Forum, Baseline Requirements 7.1: at least 64 bits of chance. RFC 5280 section 4.1.2.2: at most 20 bytes. */
const SERIAL_BYTES = 16;
/** What clients refuse below (OpenSSL's security level 2, NIST SP 800-57). */
const RSA_BITS_MIN = 2048;

/** A certificate with its key, to serve a host with. The same object for as long as it is good. */
export interface Leaf {
  /** PEM: the leaf, followed by the CA and what the CA's file has behind it. */
  readonly cert: string;
  /** PEM (PKCS #8). */
  readonly key: string;
  readonly notAfterMs: number;
}

/** What was given for a CA and is none that can be used. The message says why, without a path. */
export class AuthorityError extends Error {
  readonly part: "certificate" | "key";

  constructor(part: AuthorityError["part"], words: string, cause?: unknown) {
    super(words, cause === undefined ? undefined : { cause });
    this.name = "AuthorityError";
    this.part = part;
  }
}

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificate of a CA, without its key: what there is to know of it. */
export class AuthorityCertificate {
  readonly x509: X509Certificate;
  /** PEM: the certificate and what its file has behind it. */
  readonly chain: string;
  /** null: it may certify any name. */
  readonly constraints: NameConstraints | null;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;

  private constructor(certificate: X509Certificate, chain: string, constraints: NameConstraints | null) {
    this.x509 = certificate;
    this.chain = chain;
    this.constraints = constraints;
    this.notBeforeMs = certificate.validFromDate.getTime();
    this.notAfterMs = certificate.validToDate.getTime();
  }

  /** @throws AuthorityError */
  static parse(pem: string): AuthorityCertificate {
    const blocks = pem.match(CERTIFICATE_BLOCK);
    if (blocks === null) {
      const found = pem.includes("PRIVATE KEY-----")
        ? "it holds a private key"
        : "it is not a PEM file, or is not complete";
      throw new AuthorityError("certificate", `no certificate is in this file: ${found}`);
    }
    let certificate: X509Certificate;
    let constraints: NameConstraints | null;
    try {
      certificate = new X509Certificate(blocks[0]);
      const found = new x509.X509Certificate(certificate.raw).getExtension(NAME_CONSTRAINTS);
      constraints = found === null ? null : decodeConstraints(new Uint8Array(found.value));
    } catch (error) {
      throw new AuthorityError("certificate", `the certificate is damaged: ${(error as Error).message}`, error);
    }
    // OpenSSL's word, which has looked at keyUsage too.
    if (!certificate.ca) {
      throw new AuthorityError("certificate", "this is no certificate of a CA: it may not certify others");
    }
    return new AuthorityCertificate(certificate, `${blocks.join("\n")}\n`, constraints);
  }

  /** Sentences for the log, without a path. */
  warningsAt(wallMs: number): readonly string[] {
    if (this.notBeforeMs > wallMs) return [`the CA is not valid before ${dateOf(this.notBeforeMs)}`];
    if (this.notAfterMs - wallMs >= EXPIRY_NOTICE_MS || this.notAfterMs <= wallMs) return [];
    return [`the CA expires on ${dateOf(this.notAfterMs)}: make its successor, and have clients trust that, before`];
  }
}

export class Authority {
  readonly certificate: AuthorityCertificate;
  readonly #key: webcrypto.CryptoKey;
  readonly #algorithm: SigningAlgorithm;
  /** As it stands in the CA's certificate, byte for byte: some who verify compare bytes. */
  readonly #issuer: Name;
  /** The extensions that all leaves share. */
  readonly #extensions: readonly Extension[];

  private constructor(
    certificate: AuthorityCertificate,
    key: webcrypto.CryptoKey,
    algorithm: SigningAlgorithm,
    keyIdentifier: string,
  ) {
    this.certificate = certificate;
    this.#key = key;
    this.#algorithm = algorithm;
    this.#issuer = new x509.X509Certificate(certificate.x509.raw).subjectName;
    this.#extensions = [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTHENTICATION]),
      new x509.AuthorityKeyIdentifierExtension(keyIdentifier),
    ];
  }

  /** Rejects with an AuthorityError. No message holds anything of the key. */
  static async load(certificatePem: string, keyPem: string, wallMs: number): Promise<Authority> {
    const certificate = AuthorityCertificate.parse(certificatePem);
    const keyObject = parseKey(keyPem);
    if (!certificate.x509.checkPrivateKey(keyObject)) {
      throw new AuthorityError("key", "the key does not belong to the certificate of the CA");
    }
    if (certificate.notAfterMs <= wallMs) {
      throw new AuthorityError("certificate", `the CA expired on ${dateOf(certificate.notAfterMs)}`);
    }
    const algorithm = algorithmOf(keyObject);
    const key = await importKey(keyObject, algorithm);
    return new Authority(certificate, key, algorithm, await keyIdentifierOf(certificate));
  }

  /** Whether clients would take a leaf for this name. */
  permits(name: LeafName): boolean {
    const { constraints } = this.certificate;
    return constraints === null || permits(constraints, name);
  }

  /**
   * A leaf with a key of its own: whoever steals one poses as one host for a week. That costs a thirtieth of the two
   * milliseconds of this thread which the certificate takes.
   */
  async issue(name: LeafName, wallMs: number): Promise<Leaf> {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const notAfterMs = wholeSecond(Math.min(wallMs + LEAF_LIFE_MS, this.certificate.notAfterMs));
    const leaf = await x509.X509CertificateGenerator.create({
      serialNumber: newSerial(),
      issuer: this.#issuer,
      subject: subjectOf(name),
      notBefore: new Date(wholeSecond(wallMs - BACKDATED_MS)),
      notAfter: new Date(notAfterMs),
      publicKey: publicKey.export({ type: "spki", format: "der" }),
      signingKey: this.#key,
      signingAlgorithm: this.#algorithm,
      extensions: [
        ...this.#extensions,
        new x509.SubjectAlternativeNameExtension([{ type: name.kind, value: name.text }]),
      ],
    });
    return {
      cert: `${leaf.toString("pem")}\n${this.certificate.chain}`,
      key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
      notAfterMs,
    };
  }
}

/**
 * The organisation says to whoever looks at the certificate what it is, and leaves no subject empty. A common name is for the eye
 * as well; an address as one would be held against the constraints of DNS names (OpenSSL).
 */
function subjectOf({ kind, text }: LeafName): Name {
  const organisation = { O: [{ utf8String: "Headgate interception" }] };
  const hasCommonName = kind === "dns" && text.length <= COMMON_NAME_CHARACTERS_MAX;
  return new x509.Name(hasCommonName ? [organisation, { CN: [{ utf8String: text }] }] : [organisation]);
}

type SigningAlgorithm =
  | { readonly name: "ECDSA"; readonly namedCurve: string; readonly hash: string }
  | { readonly name: "RSASSA-PKCS1-v1_5"; readonly hash: string };

/** RFC 5758 section 3.2 pairs curves with hashes by their strength. Names of curves are OpenSSL's. */
const CURVES: Readonly<Record<string, SigningAlgorithm>> = {
  prime256v1: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  secp384r1: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  secp521r1: { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" },
};

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  if (asymmetricKeyType === "rsa") {
    if ((asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN)
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    throw new AuthorityError("key", `an RSA key has at least ${RSA_BITS_MIN} bits: clients refuse a shorter one`);
  }
  const algorithm = CURVES[asymmetricKeyDetails?.namedCurve ?? ""];
  if (algorithm !== undefined) return algorithm;
  throw new AuthorityError(
    "key",
    "the key is neither of P-256, P-384 or P-521 nor an RSA key: few clients would take it",
  );
}

const KEY_DAMAGED = "the private key is damaged";

function parseKey(pem: string): KeyObject {
  if (!/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/.test(pem)) {
    const found = pem.includes("BEGIN CERTIFICATE")
      ? "it holds a certificate"
      : "it is not a PEM file, or is not complete";
    throw new AuthorityError("key", `no private key is in this file: ${found}`);
  }
  if (pem.includes("ENCRYPTED")) {
    throw new AuthorityError("key", "the key is protected by a passphrase; store it without one");
  }
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new AuthorityError("key", KEY_DAMAGED, error);
  }
}

async function importKey(key: KeyObject, algorithm: SigningAlgorithm): Promise<webcrypto.CryptoKey> {
  try {
    const der = key.export({ type: "pkcs8", format: "der" });
    return await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  } catch (error) {
    // It is looked at more closely here: its public half may be that of the certificate, and its private one not.
    throw new AuthorityError("key", KEY_DAMAGED, error);
  }
}

/** In hexadecimal digits: what the CA calls its key, or else what RFC 5280 section 4.2.1.2 makes of it. */
async function keyIdentifierOf({ x509: certificate }: AuthorityCertificate): Promise<string> {
  const parsed = new x509.X509Certificate(certificate.raw);
  const own = parsed.getExtension(SUBJECT_KEY_IDENTIFIER);
  if (own instanceof x509.SubjectKeyIdentifierExtension) return own.keyId;
  return (await x509.SubjectKeyIdentifierExtension.create(parsed.publicKey)).keyId;
}

/** In hexadecimal digits. */
export function newSerial(): string {
  return randomBytes(SERIAL_BYTES).toString("hex");
}

/** X.509 knows no shorter time. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, "");
}
