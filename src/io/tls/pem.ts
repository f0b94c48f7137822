/**
 * Certificates and keys from PEM files, checked before anybody uses them: whether they can be read, are what their field
 * says, and belong together. What is wrong but still works (an expired certificate) is a warning. It never serves them.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { SystemError } from "../failures.ts";
import { FileTexts } from "../file-texts.ts";

/** A certificate chain with its key, as PEM texts. */
export interface LoadedCertificate {
  readonly cert: string;
  readonly key: string;
  readonly notAfter: Date;
  /** Sentences for the log, at that time of the wall clock. */
  warningsAt(wallMs: number): readonly string[];
}

/** A file that cannot be used. The message names it and says why. */
export class PemError extends Error {
  readonly path: string;

  constructor(path: string, words: string, cause?: unknown) {
    super(`${path}: ${words}`, cause === undefined ? undefined : { cause });
    this.name = "PemError";
    this.path = path;
  }
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied; the user that runs the proxy must be able to read it",
  EISDIR: "this is a folder, not a file",
  ENOTDIR: "a part of the path is not a folder",
};

/** A certificate is useful for this long before its end without a word. */
const EXPIRY_NOTICE_MS = 7 * 86_400_000;

const CERTIFICATE_BLOCK =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const KEY_BEGIN = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;

/** Reads and checks a chain (the server's own certificate first) and its key. Rejects with a PemError. */
export async function loadCertificate(
  certPath: string,
  keyPath: string,
  texts: FileTexts = new FileTexts(),
): Promise<LoadedCertificate> {
  const cert = await readText(certPath, texts);
  const key = await readText(keyPath, texts);
  const [own] = parseCertificates(certPath, cert);
  if (!own!.checkPrivateKey(parseKey(keyPath, key))) {
    throw new PemError(keyPath, `the key does not belong to the certificate in ${certPath}`);
  }
  return { cert, key, notAfter: own!.validToDate, warningsAt: (wallMs) => warningsOf(certPath, own!, wallMs) };
}

/** Reads and checks a file of authorities. Rejects with a PemError. */
export async function loadAuthorities(path: string, texts: FileTexts = new FileTexts()): Promise<string> {
  const text = await readText(path, texts);
  parseCertificates(path, text);
  return text;
}

async function readText(path: string, texts: FileTexts): Promise<string> {
  try {
    return await texts.of(path, () => readFile(path, "latin1"));
  } catch (error) {
    const { code = "", message } = error as SystemError;
    throw new PemError(path, `cannot be read: ${READ_FAILURES[code] ?? message}`, error);
  }
}

/** At least one. */
function parseCertificates(path: string, text: string): readonly X509Certificate[] {
  const blocks = text.match(CERTIFICATE_BLOCK);
  if (blocks === null) {
    const found = KEY_BEGIN.test(text) ? "it holds a private key" : "it is not a PEM file, or is not complete";
    throw new PemError(path, `no certificate is in this file: ${found}`);
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new PemError(path, `certificate ${index + 1} of the file is damaged: ${(error as Error).message}`, error);
    }
  });
}

function parseKey(path: string, text: string): KeyObject {
  if (!KEY_BEGIN.test(text)) {
    const found = text.includes("BEGIN CERTIFICATE")
      ? "it holds a certificate"
      : "it is not a PEM file, or is not complete";
    throw new PemError(path, `no private key is in this file: ${found}`);
  }
  if (/ENCRYPTED/.test(text)) throw new PemError(path, "the key is protected by a passphrase; store it without one");
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw new PemError(path, `the private key is damaged: ${(error as Error).message}`, error);
  }
}

function warningsOf(path: string, own: X509Certificate, wallMs: number): readonly string[] {
  const warnings: string[] = [];
  const end = own.validToDate.getTime();
  if (end <= wallMs) warnings.push(`${path}: the certificate expired on ${own.validToDate.toISOString()}`);
  else if (end - wallMs < EXPIRY_NOTICE_MS) {
    warnings.push(`${path}: the certificate expires on ${own.validToDate.toISOString()}`);
  }
  if (own.validFromDate.getTime() > wallMs) {
    warnings.push(`${path}: the certificate is not valid before ${own.validFromDate.toISOString()}`);
  }
  if (own.subjectAltName === undefined)
    warnings.push(`${path}: the certificate has no subject alternative names: clients refuse it`);
  return warnings;
}
