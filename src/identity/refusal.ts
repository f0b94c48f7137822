/**
 * Why a request is refused by what guards a route: a closed set of reasons for the log, and the answer for the client, which never
 * says more than that it was refused. Two reasons that a guesser must not tell apart get the same answer.
 */
import { ProxyError } from "../core/errors.ts";

/** The reasons, each with its sentence for the log and for the documentation. */
export const REFUSALS = {
  credentials_missing: "the request has no credentials",
  credentials_malformed: "the credentials cannot be read",
  password_wrong: "no such user, or another password",
  key_unknown: "no such key",
  token_malformed: "the token is no JWT",
  token_algorithm_refused: "the token's algorithm is not that of a key, or not allowed",
  token_key_unknown: "no key has the token's key id",
  token_signature_invalid: "the token's signature is not by the key",
  token_expired: "the token has expired",
  token_not_yet_valid: "the token is not valid yet",
  token_issuer_refused: "the token is by another issuer",
  token_audience_refused: "the token is for another audience",
  token_claim_missing: "the token lacks a claim",
  token_claim_refused: "a claim of the token has another value than is required",
  session_unknown: "the session is not in the store: it has ended, or never was",
  session_unreadable: "the session's record cannot be read or decrypted",
  certificate_missing: "the client showed no certificate",
  certificate_refused: "the client's certificate is not accepted",
  login_required: "the client must log in first",
  login_failed: "the login was not completed",
  not_allowed: "the identity is known and lacks the right",
  auth_service_refused: "the authentication service refused the request",
  verification_busy: "too many passwords or tokens wait to be verified",
  too_many_failures: "too many failed attempts from this address",
  store_unavailable: "the session store cannot be asked",
  keys_unavailable: "the issuer's keys cannot be had",
  auth_service_unavailable: "the authentication service cannot be asked",
} as const satisfies Readonly<Record<string, string>>;

export type RefusalReason = keyof typeof REFUSALS;

const UNAVAILABLE: ReadonlySet<RefusalReason> = new Set([
  "verification_busy",
  "store_unavailable",
  "keys_unavailable",
  "auth_service_unavailable",
]);

/** What another attempt with other credentials in the request would not change: no scheme of WWW-Authenticate is for certificates. */
const FORBIDDEN: ReadonlySet<RefusalReason> = new Set(["not_allowed", "certificate_missing", "certificate_refused"]);

/** Seconds after which a client may ask again while something that we depend on is away. */
const RETRY_AFTER_SECONDS = 5;

export interface RefusalOptions {
  /** The value of WWW-Authenticate, which every 401 has (RFC 9110 section 15.5.2). */
  readonly challenge?: string;
  /** Field lines of the answer besides. */
  readonly fields?: ProxyError["fields"];
  readonly cause?: unknown;
  /** In place of the status that the reason has. */
  readonly status?: number;
  /** In place of the seconds that Retry-After says with 429 and 503. */
  readonly retryAfterSeconds?: number;
}

/** 403 for `not_allowed` and what concerns certificates, 429 for `too_many_failures`, 503 when something that we depend on is away, otherwise 401. */
export function refusal(by: string, reason: RefusalReason, options: RefusalOptions = {}): ProxyError {
  const fields: (readonly [string, string])[] = [...(options.fields ?? [])];
  const isUnavailable = UNAVAILABLE.has(reason);
  const usual = isUnavailable ? 503 : FORBIDDEN.has(reason) ? 403 : reason === "too_many_failures" ? 429 : 401;
  const status = options.status ?? usual;
  if (options.challenge !== undefined && status !== 429 && status !== 503) {
    fields.push(["WWW-Authenticate", options.challenge]);
  }
  if (status === 429 || status === 503) {
    fields.push(["Retry-After", String(options.retryAfterSeconds ?? RETRY_AFTER_SECONDS)]);
  }
  return new ProxyError(
    isUnavailable ? "destination_unavailable" : "http_request_denied",
    `${by}: ${REFUSALS[reason]}`,
    {
      status,
      reason,
      fields,
      side: isUnavailable ? "proxy" : "client",
      retryable: false,
      ...(options.cause !== undefined && { cause: options.cause }),
    },
  );
}

/** Of a request that is malformed or has several tokens (RFC 6750 section 3.1): that a guesser knows already. */
export const BEARER_MALFORMED_STATUS = 400;

/** A refusal of what was sent as a Bearer token: whatever is wrong with a token itself is one answer, 401. */
export function bearerRefusal(
  by: string,
  reason: RefusalReason,
  options: RefusalOptions & { readonly challenge: string },
): ProxyError {
  return refusal(
    by,
    reason,
    reason === "credentials_malformed" ? { ...options, status: BEARER_MALFORMED_STATUS } : options,
  );
}

const BEARER_ERRORS: Partial<Readonly<Record<RefusalReason, string>>> = {
  credentials_malformed: "invalid_request",
  not_allowed: "insufficient_scope",
};

/** `Bearer` challenges (RFC 6750 section 3): no error code when the request had no token at all. */
export function bearerChallenge(realm: string, reason: RefusalReason): string {
  const start = `Bearer realm="${realm}"`;
  if (reason === "credentials_missing") return start;
  return `${start}, error="${BEARER_ERRORS[reason] ?? "invalid_token"}"`;
}
