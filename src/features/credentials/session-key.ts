/**
 * The key of a token's session, made of its claims. Two tokens with different claims never have one key: where text
 * stands between two claims, the first place where it can be found in the key must be its own.
 */
import { SESSION_KEY_BYTES_MAX } from "../../core/limits.ts";
import type { RefusalReason } from "../../identity/refusal.ts";
import { claimAt, claimText } from "../../identity/tokens/claims.ts";
import type { JsonObject } from "../../identity/tokens/json.ts";
import type { KeyTemplate } from "./options.ts";

/** Whether `separator` behind `text` is the first one: with "::", the text "x:" would end one character early. */
function endsAtFirst(text: string, separator: string): boolean {
  return (text + separator).indexOf(separator) === text.length;
}

/** `{ key }`, or why the claims give none. */
export function sessionKeyOf(template: KeyTemplate, claims: JsonObject): { readonly key: string } | RefusalReason {
  const lastClaim = template.findLastIndex((part) => typeof part !== "string");
  let key = "";
  for (const [index, part] of template.entries()) {
    if (typeof part === "string") {
      key += part;
      continue;
    }
    const value = claimAt(claims, part.claim);
    if (value === undefined || value === null) return "token_claim_missing";
    const text = claimText(value);
    if (text === null) return "token_claim_refused";
    if (index < lastClaim && !endsAtFirst(text, template[index + 1] as string)) return "token_claim_refused";
    key += text;
  }
  return Buffer.byteLength(key) > SESSION_KEY_BYTES_MAX ? "token_claim_refused" : { key };
}
