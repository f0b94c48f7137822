// Certificates for tests, made when they are needed: authorities, servers, clients, expired ones. X.509 (RFC 5280) is
// written in DER by hand, since Node can sign but not issue; only what the tests use is here.

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

export interface Issued {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** DNS names and IPv4 addresses of the subject alternative names; the first one is the common name too. */
  readonly names: readonly string[];
  /** Signed by itself when there is none. */
  readonly issuer?: Authority;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const DAY_MS = 86_400_000;

function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  let head: number[];
  if (length < 0x80) head = [tag, length];
  else if (length < 0x100) head = [tag, 0x81, length];
  else head = [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

const sequence = (...items: Uint8Array[]) => der(0x30, ...items);
const integer = (value: Uint8Array) => der(0x02, value[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), value]) : value);
const TRUE = der(0x01, Buffer.of(0xff));

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

const ECDSA_WITH_SHA256 = sequence(objectId("1.2.840.10045.4.3.2"));

const nameOf = (commonName: string) =>
  sequence(der(0x31, sequence(objectId("2.5.4.3"), der(0x0c, Buffer.from(commonName)))));

function timeOf(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, "");
  return der(0x18, Buffer.from(digits));
}

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(objectId(id), ...(critical ? [TRUE] : []), der(0x04, value));
}

function alternativeName(name: string): Buffer {
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name);
  return isAddress ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name));
}

function pemOf(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

interface Signer {
  readonly name: string;
  readonly key: KeyObject;
  readonly keyId: Buffer;
}

function issue(options: CertificateOptions, isAuthority: boolean, issuer: Signer | null): Issued & { signer: Signer } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const keyId = createHash("sha1").update(spki).digest();
  const commonName = options.names[0] ?? "test";
  const signer = issuer ?? { name: commonName, key: privateKey, keyId };
  const extensions = [
    extension("2.5.29.14", false, der(0x04, keyId)),
    extension("2.5.29.35", false, sequence(der(0x80, signer.keyId))),
    extension("2.5.29.19", true, sequence(...(isAuthority ? [TRUE] : []))),
  ];
  if (isAuthority) extensions.push(extension("2.5.29.15", true, der(0x03, Buffer.of(1, 0x06))));
  else extensions.push(extension("2.5.29.17", false, sequence(...options.names.map(alternativeName))));
  const toSign = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(7)])),
    ECDSA_WITH_SHA256,
    nameOf(signer.name),
    sequence(
      timeOf(options.notBefore ?? new Date(Date.now() - DAY_MS)),
      timeOf(options.notAfter ?? new Date(Date.now() + 30 * DAY_MS)),
    ),
    nameOf(commonName),
    spki,
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", toSign, signer.key);
  const cert = pemOf(sequence(toSign, ECDSA_WITH_SHA256, der(0x03, Buffer.of(0), signature)));
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  return { cert, key, signer: { name: commonName, key: privateKey, keyId } };
}

/** A certificate for a server or a client. */
export function issueCertificate(options: CertificateOptions): Issued {
  const { cert, key } = issue(options, false, options.issuer?.signer ?? null);
  return { cert, key };
}

/** An authority: `cert` is what others trust. */
export class Authority {
  readonly cert: string;
  readonly signer: Signer;

  constructor(name = "Test Authority") {
    const { cert, signer } = issue({ names: [name] }, true, null);
    this.cert = cert;
    this.signer = signer;
  }
}
