/**
 * The one error type of the proxy. An error says what happened (a registered Proxy-Status type, RFC 9209 section 2.3),
 * whose side it happened on, which status the client gets, and whether another attempt may help. It never carries text
 * for the client: what the client reads is made from the type alone, so no address, stack or secret can leak.
 */

/** Whose fault: the client's message, the upstream's behaviour, or the proxy's own state. */
export type ErrorSide = "client" | "upstream" | "proxy";

/** The default verdict of each error type: status for the client and whether another attempt may help. */
interface ErrorTypeFacts {
  readonly status: number;
  readonly side: ErrorSide;
  readonly retryable: boolean;
}

/** RFC 9209 section 2.3, in its order; statuses are those it recommends. */
export const ERROR_TYPES = {
  dns_timeout: { status: 504, side: "upstream", retryable: true },
  dns_error: { status: 502, side: "upstream", retryable: true },
  destination_not_found: { status: 500, side: "proxy", retryable: false },
  destination_unavailable: { status: 503, side: "upstream", retryable: true },
  destination_ip_prohibited: { status: 502, side: "proxy", retryable: false },
  destination_ip_unroutable: { status: 502, side: "upstream", retryable: true },
  connection_refused: { status: 502, side: "upstream", retryable: true },
  connection_terminated: { status: 502, side: "upstream", retryable: true },
  connection_timeout: { status: 504, side: "upstream", retryable: true },
  connection_read_timeout: { status: 504, side: "upstream", retryable: false },
  connection_write_timeout: { status: 504, side: "upstream", retryable: false },
  connection_limit_reached: { status: 503, side: "proxy", retryable: false },
  tls_protocol_error: { status: 502, side: "upstream", retryable: true },
  tls_certificate_error: { status: 502, side: "upstream", retryable: false },
  tls_alert_received: { status: 502, side: "upstream", retryable: false },
  http_request_error: { status: 400, side: "client", retryable: false },
  http_request_denied: { status: 403, side: "client", retryable: false },
  http_response_incomplete: { status: 502, side: "upstream", retryable: false },
  http_response_header_section_size: { status: 502, side: "upstream", retryable: false },
  http_response_header_size: { status: 502, side: "upstream", retryable: false },
  http_response_body_size: { status: 502, side: "upstream", retryable: false },
  http_response_trailer_section_size: { status: 502, side: "upstream", retryable: false },
  http_response_trailer_size: { status: 502, side: "upstream", retryable: false },
  http_response_transfer_coding: { status: 502, side: "upstream", retryable: false },
  http_response_content_coding: { status: 502, side: "upstream", retryable: false },
  http_response_timeout: { status: 504, side: "upstream", retryable: false },
  http_upgrade_failed: { status: 502, side: "upstream", retryable: false },
  http_protocol_error: { status: 502, side: "upstream", retryable: false },
  proxy_internal_response: { status: 500, side: "proxy", retryable: false },
  proxy_internal_error: { status: 500, side: "proxy", retryable: false },
  proxy_configuration_error: { status: 500, side: "proxy", retryable: false },
  proxy_loop_detected: { status: 502, side: "proxy", retryable: false },
} as const satisfies Record<string, ErrorTypeFacts>;

export type ErrorType = keyof typeof ERROR_TYPES;

/** The reason of a TLS handshake that a client has ended because of the certificate that it was shown. */
export const OWN_CERTIFICATE_REFUSED = "own_certificate_refused";

/** The reason where a server's unix socket has as many connections that wait to be accepted as it takes. */
export const BACKLOG_FULL = "backlog_full";

export interface ProxyErrorOptions {
  /** Overrides the type's own status, for example 408, 413 or 431 within `http_request_error`. From 400 to 599. */
  readonly status?: number;
  readonly side?: ErrorSide;
  readonly retryable?: boolean;
  /** What made this happen: another error, kept for the log. */
  readonly cause?: unknown;
  /** Which of a closed set of reasons, such as "token_expired": for the log, never for the client. */
  readonly reason?: string;
  /** Field lines of the answer, such as WWW-Authenticate: made by the proxy alone, they are sent as they are. */
  readonly fields?: readonly (readonly [name: string, value: string])[];
}

const NO_FIELDS: ProxyError["fields"] = [];

/** Everything that can go wrong with an exchange. `message` is for the operator's log, never for the client. */
export class ProxyError extends Error {
  readonly type: ErrorType;
  readonly side: ErrorSide;
  /** The status that the client gets when nothing was sent yet. */
  readonly status: number;
  /** Whether another upstream or another connection may succeed; the retry rules still have the last word. */
  readonly retryable: boolean;
  /** null: the type says it all. */
  readonly reason: string | null;
  readonly fields: readonly (readonly [name: string, value: string])[];

  /** Throws RangeError for a status that is none of an error: whoever answers with it later could not. */
  constructor(type: ErrorType, message: string, options: ProxyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ProxyError";
    const facts = ERROR_TYPES[type];
    this.type = type;
    this.side = options.side ?? facts.side;
    this.status = options.status ?? facts.status;
    if (!(this.status >= 400 && this.status <= 599)) throw new RangeError(`${this.status} is no status of an error`);
    this.retryable = options.retryable ?? facts.retryable;
    this.reason = options.reason ?? null;
    this.fields = options.fields ?? NO_FIELDS;
  }

  /** With another verdict on another attempt; itself where that is no other one, since some errors are known again. */
  withRetryable(retryable: boolean): ProxyError {
    return retryable === this.retryable ? this : this.with({ retryable });
  }

  /** The same, but for these. */
  with(changes: ProxyErrorOptions): ProxyError {
    const { type, message, status, side, retryable, cause, reason, fields } = this;
    const same = { status, side, retryable, cause, fields, ...(reason !== null && { reason }) };
    return new ProxyError(type, message, { ...same, ...changes });
  }

  /** Wraps whatever a hook or a library threw: a bug of ours or a plugin's is a 500, never a crash of the process. */
  static from(thrown: unknown): ProxyError {
    if (thrown instanceof ProxyError) return thrown;
    return new ProxyError("proxy_internal_error", textOf(thrown), { cause: thrown });
  }
}

/** Objects need not have text, and may throw when asked for it, as errors may whose message is a getter. */
function textOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.message === "string") return thrown.message;
  } catch {
    return "an Error was thrown that has no message";
  }
  const isObject = typeof thrown === "function" || (typeof thrown === "object" && thrown !== null);
  return isObject ? "something other than an Error was thrown" : String(thrown);
}
