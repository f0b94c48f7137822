/** Why the forward proxy refuses: a closed set of reasons for the log. The client learns that it was refused, and no more. */
import { ProxyError } from "../core/errors.ts";
import { type RefusalReason, refusal } from "../identity/refusal.ts";

/** The reasons, each with its sentence for the log and for the documentation. */
export const FORWARD_REFUSALS = {
  rule_denied: "a rule of `deny` refuses it",
  nothing_allows: "no rule of `allow` allows it",
  private_destination: "the destination is no public address, and no rule names its network",
  too_many_tunnels: "the client has as many tunnels as it may",
  host_mismatch: "what the client asks for inside is not what it asked to be connected to",
  ambiguous_host: "the host is a number or ends in one: some programs take it for an address, others for a name",
  unverified_host: "the host does not resolve to where the traffic was headed",
  ca_may_not_certify: "the CA of interception may not certify the host (headgate ca show): name the host in except",
  ca_expired: "the CA of interception has expired",
  ca_not_trusted:
    "the client does not trust the CA of interception (headgate ca show), " +
    "or expects one certificate of its own: then name the host in except",
} as const satisfies Readonly<Record<string, string>>;

/** Reasons of what failed behind the proxy, each with its sentence for the documentation. */
export const FORWARD_FAILURES = {
  host_unresolved:
    "the host that a rule allows could not be resolved, so that nobody can say whether it leads to where the traffic was headed",
  parent_unreachable: "the proxy of `via` cannot be reached, or gave no answer that a proxy gives",
  parent_refused: "the proxy of `via` refuses our credentials, or does not serve us at all",
  parent_denied: "the proxy of `via` does not allow this destination",
  certificate_expired: "the certificate of the origin has expired",
  certificate_not_yet_valid: "the certificate of the origin is not valid yet",
  certificate_untrusted: "the certificate of the origin is by an authority that is not trusted",
  certificate_of_other_name: "the certificate of the origin is for another name",
  certificate_unusable: "the certificate of the origin is refused for something else",
} as const satisfies Readonly<Record<string, string>>;

export type ForwardRefusalReason = keyof typeof FORWARD_REFUSALS;

const STATUS: Partial<Readonly<Record<ForwardRefusalReason, number>>> = { too_many_tunnels: 429, host_mismatch: 421 };

/** What the log calls the forward proxy. */
export const BY = "forward";

/** Whoever asks has not proved who it is: 407, but for what is no fault of its credentials. */
export function unproved(reason: RefusalReason, realm: string): ProxyError {
  if (reason === "verification_busy") return refusal(BY, reason);
  const challenge = `Basic realm="${realm}", charset="UTF-8"`;
  return refusal(BY, reason, { status: 407, fields: [["Proxy-Authenticate", challenge]] });
}

/** A rule would let it pass, and a resolver is to blame that it does not. */
export function hostUnresolved({ type, message, cause }: ProxyError): ProxyError {
  const reason: keyof typeof FORWARD_FAILURES = "host_unresolved";
  return new ProxyError(type, `${BY}: ${FORWARD_FAILURES[reason]}: ${message}`, {
    reason,
    ...(cause !== undefined && { cause }),
  });
}

/** Whoever asks for a host that is to be opened, and cannot be, learns it before anything is opened. */
export function notCertified(reason: "ca_may_not_certify" | "ca_expired", message: string): ProxyError {
  return new ProxyError("proxy_configuration_error", message, { status: 502, reason });
}

/** A client that ends its handshake with us because of the certificate that it is shown: 499, for nothing was sent to it. */
export function caNotTrusted(): ProxyError {
  const reason: ForwardRefusalReason = "ca_not_trusted";
  const message = `${BY}: ${FORWARD_REFUSALS[reason]}`;
  return new ProxyError("tls_alert_received", message, { status: 499, reason, side: "client" });
}

export class Denial extends ProxyError {
  /** The one that decided; null: none did. */
  readonly rule: string | null;

  constructor(reason: ForwardRefusalReason, rule: string | null = null) {
    const isAddress = reason === "private_destination" || reason === "unverified_host";
    const by = rule === null ? "" : ` (${rule})`;
    super(isAddress ? "destination_ip_prohibited" : "http_request_denied", `${BY}: ${FORWARD_REFUSALS[reason]}${by}`, {
      status: STATUS[reason] ?? 403,
      reason,
      side: "client",
      retryable: false,
    });
    this.rule = rule;
  }
}
