/** Options of `clientCertificate`: whose certificates are good, and what the upstream learns of them. */
import { z } from "zod";
import { oneOrMore, settableFieldName, textKind } from "../../core/option-types.ts";
import { asciiName } from "../../identity/distinguished-name.ts";

/** In the one spelling by which names are compared: with what is not ASCII escaped, as openssl prints it, or not. */
const subject = textKind<string>({
  id: "subject",
  expected: "the subject of a certificate such as CN=alice,O=Example",
  description: "The subject of a certificate as RFC 4514 writes it: `CN=alice,O=Example`.",
  parse: (text) =>
    /^[A-Za-z0-9.]+=/.test(text) ? asciiName(text.replace(/\\[0-9a-f]{2}/gi, (byte) => byte.toUpperCase())) : null,
});

const fingerprint = textKind<string>({
  id: "fingerprint",
  expected: "the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons",
  description: "The SHA-256 of a certificate: 64 hexadecimal digits, with or without colons between the bytes.",
  parse: (text) => {
    const digits = text.replaceAll(":", "").toLowerCase();
    return /^[0-9a-f]{64}$/.test(digits) && (digits.length === text.length || text.length === 95) ? digits : null;
  },
});

/** The spelling in which PeerCertificate has alternative names; null: it is none of them. */
function canonicalAlternativeName(text: string): string | null {
  const [, kind = "", value = ""] = /^(dns|email|uri|ip):(\S+)$/.exec(text) ?? [];
  if (kind === "") return null;
  return kind === "dns" || kind === "ip" ? `${kind}:${value.toLowerCase()}` : text;
}

const alternativeName = textKind<string>({
  id: "alternativeName",
  expected: "dns:NAME, email:ADDRESS, uri:URI or ip:ADDRESS",
  description:
    "A subject alternative name of a certificate, with its kind: `dns:client.example`, `email:a@example.org`, `uri:spiffe://example.org/a`, `ip:192.0.2.1`.",
  pattern: "^(dns|email|uri|ip):\\S+$",
  parse: canonicalAlternativeName,
});

const fact = z.enum(["subject", "san", "issuer", "serial", "fingerprint", "certificate"]);

export const clientCertificateOptions = z
  .strictObject({
    subjects: oneOrMore(subject())
      .optional()
      .describe(
        "Subjects that may pass, each whole and as RFC 4514 writes it: `CN=alice,O=Example`. `openssl x509 -noout -subject -nameopt RFC2253` prints it.",
      ),
    sans: oneOrMore(alternativeName())
      .optional()
      .describe("Subject alternative names of which a certificate must have one: `dns:client.example`."),
    fingerprints: oneOrMore(fingerprint())
      .optional()
      .describe("The SHA-256 of certificates that may pass: `openssl x509 -noout -fingerprint -sha256` prints it."),
    headers: z
      .record(settableFieldName(), fact)
      .default({})
      .describe(
        "Fields that tell the upstream of the certificate: `subject`, `san`, `issuer`, `serial`, `fingerprint`, or the `certificate` itself as RFC 9440 has it in `Client-Cert`. What the client sent under these names is removed.",
      ),
  })
  .describe(
    "Lets clients pass that have shown a certificate of an authority that the listener trusts (`tls.clientAuth`), and answers 403 to the others.",
  );

export type CertificateFact = z.output<typeof fact>;
/** A list that is there must hold the certificate; a certificate must be in all that are there. */
export type ClientCertificateOptions = z.output<typeof clientCertificateOptions>;
