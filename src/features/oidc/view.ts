/**
 * What one route makes of a session: whether its user may pass, and the field lines that tell the upstream who it is,
 * encoded once.
 */
import { EncodedLines } from "../../core/fields.ts";
import { claimAt } from "../../identity/tokens/claims.ts";
import type { Identity } from "../../pipeline/exchange.ts";
import { claimsOf, fieldValueOf, mergedClaims, unmetRequirement } from "./claims.ts";
import type { OidcOptions } from "./options.ts";
import type { Session } from "./session.ts";

export interface View {
  readonly identity: Identity;
  /** null: there is nothing to tell. */
  readonly lines: EncodedLines | null;
  /** The claim that is not as the route requires; null: the user may pass. */
  readonly unmet: string | null;
  /** The session has no token of the kind that is forwarded. */
  readonly lacksToken: boolean;
}

export function viewOf(session: Session, options: OidcOptions): View {
  const { claims: named, forward } = options;
  const claims = mergedClaims(claimsOf(session.idToken) ?? {}, session.userInfo);
  const lines: [string, string][] = [];
  for (const [name, path] of Object.entries(named)) {
    const value = fieldValueOf(claimAt(claims, path));
    if (value !== null) lines.push([name, value]);
  }
  const token = forward === "none" ? null : forward === "idToken" ? session.idToken : session.accessToken;
  if (token !== null) lines.push(["Authorization", `Bearer ${token}`]);
  return {
    identity: { subject: session.subject, by: "oidc", qualifier: options.issuer },
    lines: lines.length === 0 ? null : new EncodedLines(lines),
    unmet: unmetRequirement(claims, options.require),
    lacksToken: forward !== "none" && token === null,
  };
}
