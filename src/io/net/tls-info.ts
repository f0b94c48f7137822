/**
 * What a finished handshake agreed on, and who the client has shown itself to be. The certificate is read when somebody asks
 * for it: most connections show none, and of those that do most routes never ask.
 */
import type { X509Certificate } from "node:crypto";
import type tls from "node:tls";
import type { PeerCertificate, TlsInfo } from "../../core/ports.ts";

type Agreed = Omit<TlsInfo, "peerCertificate">;

function agreedOn(socket: tls.TLSSocket): Agreed {
  const { servername, alpnProtocol } = socket as { servername?: unknown; alpnProtocol: string | false | null };
  return {
    protocol: socket.getProtocol() ?? "",
    cipher: socket.getCipher()?.standardName ?? "",
    serverName: typeof servername === "string" && servername !== "" ? servername.toLowerCase() : null,
    alpn: typeof alpnProtocol === "string" ? alpnProtocol : null,
    resumed: socket.isSessionReused(),
  };
}

/** Of a connection whose other end's certificate is nobody's business, or was verified while it was made. */
export function tlsInfoOf(socket: tls.TLSSocket): TlsInfo {
  return { ...agreedOn(socket), peerCertificate: null };
}

/** Of a client's connection. */
export function clientTlsInfoOf(socket: tls.TLSSocket): TlsInfo {
  let peer: PeerCertificate | null | undefined;
  return {
    ...agreedOn(socket),
    get peerCertificate() {
      // A socket that was closed has forgotten it: then nobody is there to be let in.
      if (peer === undefined) peer = readPeer(socket);
      return peer;
    },
  };
}

/**
 * OpenSSL resumes a session of TLS 1.3 that had no certificate as an authorized one, so `authorized` says nothing before
 * there is a certificate.
 */
function readPeer(socket: tls.TLSSocket): PeerCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  const refusal = socket.authorized ? null : String(socket.authorizationError ?? "UNVERIFIED");
  return factsOf(certificate, refusal);
}

export function factsOf(certificate: X509Certificate, refusal: string | null): PeerCertificate {
  return {
    isVerified: refusal === null,
    refusal,
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    alternativeNames: alternativeNames(certificate.subjectAltName),
    serialNumber: certificate.serialNumber.toLowerCase(),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    notAfterMs: certificate.validToDate.getTime(),
    bytes: certificate.raw,
  };
}

/**
 * Node has a line for each part, in the order of the certificate, with separators in values escaped as RFC 4514 says; that
 * writes them the other way round in one line. What is equal in one form is equal in the other.
 */
function distinguishedName(lines: string | undefined): string {
  if (lines === undefined || lines === "") return "";
  return lines
    .split("\n")
    .reverse()
    .map((part) => part.replaceAll(" + ", "+"))
    .join(",");
}

const KINDS: Readonly<Record<string, string>> = { DNS: "dns", email: "email", URI: "uri", "IP Address": "ip" };

/** Node joins them by ", " and quotes those that could be taken for more than one, as JSON (CVE-2021-44532). */
function alternativeNames(text: string | undefined): readonly string[] {
  const names: string[] = [];
  for (const [entry] of (text ?? "").matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)) {
    const [, label = "", value = ""] = /^\s*([^:]+):(.*)$/s.exec(entry) ?? [];
    const kind = KINDS[label];
    if (kind === undefined || value === "") continue;
    const name = value.startsWith('"') ? (JSON.parse(value) as string) : value;
    names.push(`${kind}:${kind === "dns" || kind === "ip" ? name.toLowerCase() : name}`);
  }
  return names;
}
