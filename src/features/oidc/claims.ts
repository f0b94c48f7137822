/**
 * What is said of a user: claims by their names, as header fields for the upstream, and what a route requires of them.
 * Values come from the issuer, which lets users choose some of them: none of them becomes more than one value of one
 * field.
 */
import { claimAt, hasRequiredValue } from "../../identity/tokens/claims.ts";

export type Claims = Readonly<Record<string, unknown>>;

/** The claims of a JWT whose signature somebody has verified; null: it is none. */
export function claimsOf(token: string): Claims | null {
  const [, payload] = token.split(".");
  if (payload === undefined) return null;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? (claims as Claims) : null;
  } catch {
    return null;
  }
}

/**
 * What is signed, and of what the userinfo endpoint says, which is not, the rest. A name with dots leads into an object
 * as well: an unsigned "realm_access.roles" must not hide the signed roles, or add some to them.
 */
export function mergedClaims(signed: Claims, added: Claims | null): Claims {
  if (added === null) return signed;
  const rest = Object.entries(added).filter(([name]) => !Object.hasOwn(signed, name.split(".", 1)[0]!));
  return { ...Object.fromEntries(rest), ...signed };
}

/**
 * A claim as the value of a field, its characters the bytes of UTF-8; null: it is missing, or no text, number, boolean
 * or list of those. Of a list, elements with a comma are left out: one would look like two.
 */
export function fieldValueOf(claim: unknown): string | null {
  if (!Array.isArray(claim)) return textOf(claim);
  const items = claim.map(textOf).filter((item) => item !== null && item !== "" && !item.includes(","));
  return items.length === 0 ? null : items.join(",");
}

/** Controls could end a line, or look like its end to somebody: a value with one is none. */
const CONTROLS = /[\x00-\x1f\x7f]/;

function textOf(value: unknown): string | null {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return null;
  const text = value.trim();
  return CONTROLS.test(text) || !text.isWellFormed() ? null : Buffer.from(text, "utf8").toString("latin1");
}

export type Requirements = Readonly<Record<string, readonly (string | number | boolean)[]>>;

/** The first claim that is not as required; null: all are. */
export function unmetRequirement(claims: Claims, requirements: Requirements): string | null {
  for (const [name, values] of Object.entries(requirements)) {
    if (!hasRequiredValue(claimAt(claims, name), { name, values })) return name;
  }
  return null;
}
