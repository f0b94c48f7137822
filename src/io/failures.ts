/**
 * What the operating system, the resolver and OpenSSL say when something fails, as the error types of the proxy
 * (RFC 9209, section 2.3) and as sentences that an operator can act on. It decides the type and the words; whether to try
 * again is decided elsewhere.
 */
import {
  BACKLOG_FULL,
  ERROR_TYPES,
  type ErrorSide,
  type ErrorType,
  OWN_CERTIFICATE_REFUSED,
  ProxyError,
} from "../core/errors.ts";

/** Node's errors carry a code; those of OpenSSL also a reason. */
export type SystemError = Error & { readonly code?: string; readonly reason?: string };

/** The error of a failed system call whose number's name, such as "ECONNREFUSED", is all that is known. */
export function systemErrorOf(code: string): SystemError {
  return Object.assign(new Error(code), { code });
}

interface FailureFacts {
  readonly type: ErrorType;
  readonly words: string;
  /** Of a closed set, for the log and for pages of a forward proxy. */
  readonly reason?: string;
}

const SYSTEM_FAILURES: Readonly<Record<string, FailureFacts>> = {
  ECONNREFUSED: { type: "connection_refused", words: "connection refused, nothing accepts connections there" },
  ECONNRESET: { type: "connection_terminated", words: "the peer reset the connection" },
  ECONNABORTED: { type: "connection_terminated", words: "the connection was aborted" },
  EPIPE: { type: "connection_terminated", words: "the peer had closed the connection" },
  ENOTCONN: { type: "connection_terminated", words: "the peer had closed the connection" },
  ETIMEDOUT: { type: "connection_timeout", words: "the peer did not answer in time" },
  EHOSTUNREACH: { type: "destination_ip_unroutable", words: "no route to the host" },
  EHOSTDOWN: { type: "destination_ip_unroutable", words: "the host is down" },
  ENETUNREACH: { type: "destination_ip_unroutable", words: "the network is unreachable" },
  ENETDOWN: { type: "destination_ip_unroutable", words: "the network is down" },
  // As many connections as this machine was set up for: no fault of the program, and soon there may be room again.
  EADDRNOTAVAIL: { type: "connection_limit_reached", words: "no local address or port is left for a connection" },
  EMFILE: { type: "connection_limit_reached", words: "the process has reached its limit of open files (ulimit -n)" },
  ENFILE: { type: "connection_limit_reached", words: "the system has reached its limit of open files" },
  EACCES: { type: "destination_unavailable", words: "permission denied" },
  // Of unix sockets alone: with TCP, who wants to connect waits.
  EAGAIN: {
    type: "destination_unavailable",
    words: "as many connections wait to be accepted there as the socket takes",
    reason: BACKLOG_FULL,
  },
  // Of a connection that is to give its socket away (socket-giver.ts).
  EBUSY: { type: "proxy_internal_error", words: "a file, or a splice, is still on its way there" },
  EPERM: { type: "destination_ip_prohibited", words: "forbidden by a rule of the system's firewall" },
  ENOENT: { type: "destination_unavailable", words: "there is no such socket" },
  ENOTSOCK: { type: "destination_unavailable", words: "the file is not a socket" },
  ENOTFOUND: { type: "dns_error", words: "the name is not known" },
  ENODATA: { type: "dns_error", words: "the name has no address" },
  EAI_AGAIN: { type: "dns_error", words: "the resolver gave no answer" },
};

/** What resolvers say; what stands here has other words when a server is asked for something else. */
const LOOKUP_FAILURES: Readonly<Record<string, FailureFacts>> = {
  ETIMEOUT: { type: "dns_timeout", words: "no DNS server answered in time" },
  ESERVFAIL: { type: "dns_error", words: "the DNS server could not find the answer" },
  EREFUSED: { type: "dns_error", words: "the DNS server refuses to answer" },
  ENOTIMP: { type: "dns_error", words: "the DNS server does not know such questions" },
  EFORMERR: { type: "dns_error", words: "the DNS server did not understand the question" },
  EBADRESP: { type: "dns_error", words: "the DNS server's answer makes no sense" },
  EBADNAME: { type: "dns_error", words: "no host can have this name" },
  ECONNREFUSED: { type: "dns_error", words: "no DNS server could be asked" },
};

/**
 * Verdicts on a certificate, as OpenSSL's X.509 code and Node name them. UNSPECIFIED is what Node calls all those for which it has
 * no name, such as that of a key that is too weak; nothing else has this code.
 */
const CERTIFICATE_CODE =
  /^(CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERROR_IN_C|HOSTNAME_MISMATCH$|INVALID_(CA|PURPOSE)$|PATH_LENGTH_|ERR_TLS_CERT_|UNSPECIFIED$)/;
const UNKNOWN_AUTHORITY_CODE = /^(UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;

/** What Node says to people who write programs: it is no use to who runs this one. */
const ADVICE_OF_NODE = /; if the root CA is installed locally.*$/s;

/** Upstreams and `forward` have an option of the same name. */
function hintOf(code: string): string {
  if (!UNKNOWN_AUTHORITY_CODE.test(code)) return "";
  return "; its authority is not one of those that are trusted (see `tls.ca`)";
}

function certificateReasonOf(code: string): string {
  if (UNKNOWN_AUTHORITY_CODE.test(code)) return "certificate_untrusted";
  if (code === "CERT_HAS_EXPIRED") return "certificate_expired";
  if (code === "CERT_NOT_YET_VALID") return "certificate_not_yet_valid";
  const isOfOtherName = code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH";
  return isOfOtherName ? "certificate_of_other_name" : "certificate_unusable";
}

/** A client's verdict on the certificate that it was shown (RFC 8446 section 6.2); each kind of client has a favourite. */
const CERTIFICATE_ALERT = /_ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)$/;

/** What was read in place of a record is text, as a rule. */
const PLAIN_TEXT_CODES: ReadonlySet<string> = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
]);

/** The type of a failure by its code; null when the code is not known here. */
function factsOf(error: SystemError, side: ErrorSide): FailureFacts | null {
  const code = error.code ?? "";
  const known = SYSTEM_FAILURES[code];
  if (known !== undefined) return known;
  if (CERTIFICATE_CODE.test(code)) {
    const words = `the certificate was refused: ${error.message.replace(ADVICE_OF_NODE, "")}${hintOf(code)}`;
    return { type: "tls_certificate_error", words, reason: certificateReasonOf(code) };
  }
  if (code.startsWith("ERR_SSL_") && code.includes("ALERT")) {
    const words = `the peer refused the TLS handshake: ${error.reason ?? code}`;
    const isAboutOurs = side === "client" && CERTIFICATE_ALERT.test(code);
    return { type: "tls_alert_received", words, ...(isAboutOurs && { reason: OWN_CERTIFICATE_REFUSED }) };
  }
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO") {
    const hint = PLAIN_TEXT_CODES.has(code) ? ", as of a peer that speaks without TLS" : "";
    return { type: "tls_protocol_error", words: `TLS failed: ${error.reason ?? error.message}${hint}` };
  }
  return null;
}

/** What the system means by a code such as "ECONNREFUSED"; null: it is not known here. */
export function systemWordsOf(code: string): string | null {
  return SYSTEM_FAILURES[code]?.words ?? null;
}

/**
 * The error of a connection, of an attempt to connect, or of a TLS handshake. `what` is the sentence's beginning, such
 * as "cannot connect to 127.0.0.1:80". An unknown failure of the system is a terminated connection.
 */
export function failureOf(error: SystemError, what: string, side: ErrorSide): ProxyError {
  const facts = factsOf(error, side);
  const type = facts?.type ?? "connection_terminated";
  const code = error.code === undefined ? "" : ` (${error.code})`;
  const reason = facts?.reason === undefined ? {} : { reason: facts.reason };
  // What these say is in our words already. OpenSSL's own line has addresses of memory and its source files besides.
  const isTold = error.reason !== undefined || type === "tls_certificate_error";
  const cause = isTold ? {} : { cause: error };
  // What is the proxy's own stays so, wherever it was met.
  const options = ERROR_TYPES[type].side === "proxy" ? cause : { side, ...cause, ...reason };
  return new ProxyError(type, `${what}: ${facts?.words ?? error.message}${code}`, options);
}

/** There is no such name, or it has no address: an answer, and no failure of whoever was asked. */
export function isAbsence({ code }: SystemError): boolean {
  return code === "ENOTFOUND" || code === "ENODATA";
}

/** The error of a name that was not resolved: whatever a resolver says, it is an error of name resolution. */
export function failureOfLookup(error: SystemError, what: string): ProxyError {
  const facts = LOOKUP_FAILURES[error.code ?? ""] ?? factsOf(error, "upstream");
  const type = facts?.type === "dns_timeout" ? "dns_timeout" : "dns_error";
  const code = error.code === undefined ? "" : ` (${error.code})`;
  return new ProxyError(type, `${what}: ${facts?.words ?? error.message}${code}`, { cause: error });
}

const LISTEN_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is already in use by another program",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied; ports below 1024 and foreign folders need more privileges",
  EPERM: "permission denied",
  ENOENT: "there is no such folder",
  ENOTDIR: "a part of the path is not a folder",
  EAFNOSUPPORT: "this machine does not speak that address family",
  ENOTFOUND: "the name is not known",
  EMFILE: "the process has reached its limit of open files (ulimit -n)",
};

/** An error of listening. `code` is the system's, so that a caller can tell a port in use from other failures. */
export class ListenError extends Error {
  readonly code: string;

  constructor(where: string, code: string, words: string, cause?: unknown) {
    super(`cannot listen on ${where}: ${words} (${code})`, cause === undefined ? undefined : { cause });
    this.name = "ListenError";
    this.code = code;
  }

  static from(error: SystemError, where: string): ListenError {
    const code = error.code ?? "UNKNOWN";
    return new ListenError(where, code, LISTEN_FAILURES[code] ?? error.message, error);
  }
}
