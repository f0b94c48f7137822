/**
 * The feature `clientCertificate`: what TLS has verified about the client becomes an identity. Which authorities are trusted is
 * the listener's matter; here it is decided whether that is enough for a route.
 *
 * A connection can outlive the certificate that it began with, and a resumed session does not look at the clock: so the end of
 * a certificate is looked at with every request.
 */
import { EncodedLines } from "../../core/fields.ts";
import type { Clock, PeerCertificate } from "../../core/ports.ts";
import { asciiName, escapeBytes } from "../../identity/distinguished-name.ts";
import { identify } from "../../identity/identify.ts";
import { type RefusalReason, refusal } from "../../identity/refusal.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import type { CertificateFact, ClientCertificateOptions } from "./options.ts";

const NAME = "clientCertificate";

/** What the requests of one connection have in common, made for the first of them. */
interface Shown {
  readonly isAllowed: boolean;
  readonly identity: Identity;
  readonly lines: EncodedLines;
}

export function createClientCertificateFeature(
  options: ClientCertificateOptions,
  { clock }: { clock: Clock },
): Feature {
  const feature = new ClientCertificate(options, clock);
  return { name: NAME, request: (exchange) => feature.request(exchange) };
}

class ClientCertificate {
  readonly #options: ClientCertificateOptions;
  readonly #clock: Clock;
  readonly #fields: readonly (readonly [name: string, CertificateFact])[];
  readonly #asserted: NameVariants;
  readonly #shown = new WeakMap<PeerCertificate, Shown>();

  constructor(options: ClientCertificateOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#fields = Object.entries(options.headers);
    this.#asserted = new NameVariants(Object.keys(options.headers));
  }

  request(exchange: Exchange): void {
    const { fields } = exchange.request;
    this.#asserted.removeFrom(fields);
    const certificate = exchange.connection.tls?.peerCertificate ?? null;
    if (certificate === null) return refuse(exchange, "certificate_missing");
    if (!certificate.isVerified) return refuse(exchange, "certificate_refused", certificate.refusal);
    if (certificate.notAfterMs <= this.#clock.wallMs()) {
      return refuse(exchange, "certificate_refused", "the certificate has expired since the connection began");
    }
    let shown = this.#shown.get(certificate);
    if (shown === undefined) {
      shown = this.#read(certificate);
      this.#shown.set(certificate, shown);
    }
    if (!shown.isAllowed) return refuse(exchange, "not_allowed", certificate.subject);
    fields.appendEncoded(shown.lines);
    identify(exchange, shown.identity);
  }

  #read(certificate: PeerCertificate): Shown {
    const { subjects, sans, fingerprints } = this.#options;
    const isAllowed =
      (subjects === undefined || subjects.includes(asciiName(certificate.subject))) &&
      (sans === undefined || certificate.alternativeNames.some((name) => sans.includes(name))) &&
      (fingerprints === undefined || fingerprints.includes(certificate.fingerprint));
    // Many authorities give all their certificates one subject, or none, and the names as alternative ones (SPIFFE).
    const qualifier = [certificate.issuer, ...certificate.alternativeNames].join("\n");
    return {
      isAllowed,
      identity: { subject: certificate.subject, by: NAME, qualifier },
      lines: new EncodedLines(this.#fields.map(([name, fact]) => [name, fieldValueOf(certificate, fact)])),
    };
  }
}

function refuse(exchange: Exchange, reason: RefusalReason, why: string | null = null): void {
  exchange.fail(refusal(NAME, reason, why === null ? {} : { cause: why }));
}

/** A fact as a field holds it: visible ASCII, in which what was a separator in the certificate cannot become one. */
function fieldValueOf(certificate: PeerCertificate, fact: CertificateFact): string {
  switch (fact) {
    case "subject":
      return asciiName(certificate.subject);
    case "issuer":
      return asciiName(certificate.issuer);
    case "san":
      return certificate.alternativeNames.map(percentEncoded).join(", ");
    case "serial":
      return certificate.serialNumber;
    case "fingerprint":
      return certificate.fingerprint;
    case "certificate":
      // RFC 9440 section 2.1: a byte sequence of RFC 9651.
      return `:${certificate.bytes.toString("base64")}:`;
  }
}

/** Alternative names are joined by commas, so that those within them must be told apart. */
function percentEncoded(name: string): string {
  return escapeBytes(name, /[^\x21-\x7e]|[",\\]/gu, "%");
}
