/**
 * Makes an internal CA: a key, and a certificate that says itself how little it may be used for. It may certify servers alone, no
 * other CA, and only the names that it was made for, when there are any.
 */
import { webcrypto } from "node:crypto";
import { BACKDATED_MS, newSerial, wholeSecond } from "./authority.ts";
import { constraintsFor, encodeConstraints } from "./name-constraints.ts";
import { type Extension, NAME_CONSTRAINTS, SERVER_AUTHENTICATION, x509 } from "./x509.ts";

export interface NewAuthority {
  /** Its common name, at most COMMON_NAME_CHARACTERS_MAX characters. */
  readonly name: string;
  readonly lifeMs: number;
  /** "example.org" and "*.example.org" permit the same. */
  readonly hosts: readonly string[];
  /** Canonical: "10.0.0.0/8". Without hosts and networks it may certify any name. */
  readonly networks: readonly string[];
}

/** What every client of the last ten years verifies, and what signs the fastest. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** PEM texts. */
export async function makeAuthority(
  { name, lifeMs, hosts, networks }: NewAuthority,
  wallMs: number,
): Promise<{ readonly cert: string; readonly key: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const { KeyUsageFlags } = x509;
  const extensions: Extension[] = [
    // The length of the path is 0: only leaves stand below it.
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    new x509.ExtendedKeyUsageExtension([SERVER_AUTHENTICATION]),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
  ];
  if (hosts.length + networks.length > 0) {
    const value = encodeConstraints(constraintsFor(hosts, networks));
    extensions.push(new x509.Extension(NAME_CONSTRAINTS, true, new Uint8Array(value)));
  }
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    // Not as a string, in which some characters would mean something.
    name: new x509.Name([{ CN: [{ utf8String: name }] }]),
    notBefore: new Date(wholeSecond(wallMs - BACKDATED_MS)),
    notAfter: new Date(wholeSecond(wallMs + lifeMs)),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions,
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const lines = key.match(/.{1,64}/g) ?? [];
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n"),
  };
}
