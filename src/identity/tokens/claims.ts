/**
 * What the claims of a token must be (RFC 7519 section 4.1, RFC 8725), and how claims are named and read. Pure; the
 * time is an argument. It decides only over tokens whose signature is good: what it says tells nobody anything about
 * keys.
 */
import type { RefusalReason } from "../refusal.ts";
import { isJsonObject, type JsonObject, memberOf } from "./json.ts";
import type { RequiredClaim } from "./options.ts";

export interface ClaimRules {
  readonly leewayMs: number;
  readonly isExpRequired: boolean;
  /** null: any. */
  readonly issuers: readonly string[] | null;
  readonly audiences: readonly string[] | null;
  readonly claims: readonly RequiredClaim[];
}

/** Why the claims are refused; null: they are not. */
export function refusedClaims(claims: JsonObject, rules: ClaimRules, wallMs: number): RefusalReason | null {
  const exp = memberOf(claims, "exp");
  if (exp === undefined) {
    if (rules.isExpRequired) return "token_claim_missing";
  } else if (!isTime(exp)) return "token_claim_refused";
  if (wallMs >= expiryMs(claims, rules.leewayMs)) return "token_expired";
  const nbf = memberOf(claims, "nbf");
  if (nbf !== undefined) {
    if (!isTime(nbf)) return "token_claim_refused";
    if (wallMs < nbf * 1000 - rules.leewayMs) return "token_not_yet_valid";
  }
  const issuer = memberOf(claims, "iss");
  if (rules.issuers !== null && !(typeof issuer === "string" && rules.issuers.includes(issuer))) {
    return "token_issuer_refused";
  }
  const { audiences } = rules;
  if (audiences !== null && !audiences.some((audience) => isOneOf(memberOf(claims, "aud"), audience))) {
    return "token_audience_refused";
  }
  for (const required of rules.claims) {
    const value = claimAt(claims, required.name);
    if (value === undefined || value === null) return "token_claim_missing";
    if (!hasRequiredValue(value, required)) return "token_claim_refused";
  }
  return null;
}

/** NumericDate: seconds since 1970, fractions allowed. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * From when on the token is refused, on the wall clock; Infinity: never. The claim must be a time where there is one.
 */
export function expiryMs(claims: JsonObject, leewayMs: number): number {
  const exp = memberOf(claims, "exp");
  return typeof exp === "number" ? exp * 1000 + leewayMs : Number.POSITIVE_INFINITY;
}

/**
 * The claim of this name; where there is none, dots lead into objects: "realm_access.roles". undefined: there is none.
 * A name such as "https://example.org/roles" is therefore found although it has dots.
 */
export function claimAt(claims: JsonObject, name: string): unknown {
  const whole = memberOf(claims, name);
  if (whole !== undefined) return whole;
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (!isJsonObject(value)) return undefined;
    value = memberOf(value, part);
  }
  return value;
}

/**
 * Whether a claim has one of the values that are required of it, or is there where any will do: who asks for
 * `email_verified` does not mean `false`. A list has what is in it.
 */
export function hasRequiredValue(value: unknown, { values }: RequiredClaim): boolean {
  if (value === undefined || value === null) return false;
  return values === null ? value !== false : values.some((wanted) => isOneOf(value, wanted));
}

function isOneOf(value: unknown, wanted: string | number | boolean): boolean {
  return value === wanted || (Array.isArray(value) && value.includes(wanted));
}

/** As text, what a key or a field can be made of: text that is not empty, or a whole number; null for all else. */
export function claimText(value: unknown): string | null {
  // From 2^53 on two numbers may have one text.
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : null;
  return typeof value === "string" && value !== "" && value.isWellFormed() && !CONTROL.test(value) ? value : null;
}

/** C0, DEL and C1. */
export const CONTROL = /[\0-\x1f\x7f-\x9f]/;

/** Who the token is about, by whose word; null: it is no text that a log could hold. */
export function identityOf(claims: JsonObject, by: string) {
  const subject = subjectOf(claims);
  if (subject === null) return null;
  const issuer = memberOf(claims, "iss");
  return {
    subject,
    by,
    ...(typeof issuer === "string" && { qualifier: issuer }),
    ...(subject === NO_SUBJECT && { isShared: true }),
  };
}

const SUBJECT_CHARACTERS_MAX = 512;
const NO_SUBJECT = "(no subject)";

/**
 * Who the token is about: `sub`, or the session when that is all there is. null: it is no text that a log could hold.
 */
export function subjectOf(claims: JsonObject): string | null {
  const subject = memberOf(claims, "sub") ?? memberOf(claims, "sid");
  if (subject === undefined || subject === null) return NO_SUBJECT;
  const text = claimText(subject);
  return text === null || text.length > SUBJECT_CHARACTERS_MAX ? null : text;
}
