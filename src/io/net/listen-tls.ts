/**
 * The TLS side of a listener: one context per certificate, made once, and the choice of a context by the name that a
 * client asks for. It decides which certificate a client sees and whose certificates are good; it never reads a file.
 */
import { constants, X509Certificate } from "node:crypto";
import tls from "node:tls";

export interface ListenTls {
  /** PEM texts; `cert` is a chain that begins with the server's own certificate. The first one serves unknown names. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** null or left out: clients are not asked for certificates. */
  readonly clientAuth?: ClientAuth | null;
  /** 48 bytes with which sessions are sealed that clients may resume, with others that have the same; left out: keys of its own. */
  readonly ticketKeys?: Buffer;
}

/** What is asked of clients. */
export interface ClientAuth {
  /** PEM text of the authorities whose certificates are good. */
  readonly ca: string;
  /** Without a good certificate the handshake fails; otherwise whoever looks at the connection decides. */
  readonly isRequired: boolean;
}

/**
 * In TLS 1.2 a client could begin another handshake on its connection and show another certificate there, which need not be good: Node goes
 * on taking the client for authorized. No client of HTTP needs it, and each costs a handshake.
 */
export const SERVER_OPTIONS = constants.SSL_OP_NO_RENEGOTIATION;

/** Chooses a context by name. `undefined` means the first certificate, which the server holds as its own. */
export class CertificateChoice {
  readonly #byName = new Map<string, tls.SecureContext>();

  /** Throws when a certificate or key cannot be used. */
  constructor(options: ListenTls) {
    if (options.certificates.length === 0) throw new Error("a TLS listener needs a certificate");
    for (const certificate of options.certificates) {
      const { cert } = certificate;
      const context = tls.createSecureContext(contextOptions(options, certificate));
      for (const name of namesOf(cert)) if (!this.#byName.has(name)) this.#byName.set(name, context);
    }
  }

  /** An exact name first, then a wildcard, which stands for exactly one label (RFC 9525, section 6.3). */
  contextFor(serverName: string): tls.SecureContext | undefined {
    const name = serverName.toLowerCase();
    const exact = this.#byName.get(name);
    if (exact !== undefined) return exact;
    const dot = name.indexOf(".");
    return dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`);
  }
}

/**
 * A context of a listener. OpenSSL does not verify a certificate again when it resumes a session: what keeps one from passing from
 * one list of authorities to another is that every context of a server has keys of its own for them, or those that it is given.
 */
export function contextOptions(
  { minVersion, clientAuth = null, ticketKeys }: ListenTls,
  { cert, key }: ListenTls["certificates"][number],
): tls.SecureContextOptions {
  const ca = clientAuth === null ? {} : { ca: clientAuth.ca };
  return {
    cert,
    key,
    minVersion,
    secureOptions: SERVER_OPTIONS,
    ...ca,
    ...(ticketKeys !== undefined && { ticketKeys }),
  };
}

/** The DNS names among the subject alternative names of a certificate, lower case. */
export function namesOf(pem: string): readonly string[] {
  const names = new X509Certificate(pem).subjectAltName ?? "";
  return names
    .split(", ")
    .filter((name) => name.startsWith("DNS:"))
    .map((name) => name.slice("DNS:".length).toLowerCase());
}
