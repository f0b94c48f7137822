/**
 * The feature `jwt`: lets requests with a good token pass, asks of its claims what the route requires, and tells the
 * upstream of claims in fields of its own. All of that is worked out once for a token and kept with it.
 *
 * A token that is not good is answered with 401, an identity that lacks what is required with 403. A claim that could
 * not stand in a field as what it is makes the token one that is not good: an upstream must never be told half of it,
 * or more than it says.
 */
import { EncodedLines } from "../../core/fields.ts";
import { identify } from "../../identity/identify.ts";
import { claimAt, claimText, hasRequiredValue, identityOf } from "../../identity/tokens/claims.ts";
import { type GatePorts, TokenGate } from "../../identity/tokens/gate.ts";
import type { JsonObject } from "../../identity/tokens/json.ts";
import type { GoodToken } from "../../identity/tokens/verifier.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature, Waiting } from "../../pipeline/phases.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import { holds, parseRule } from "./expression.ts";
import type { JwtOptions } from "./options.ts";

const NAME = "jwt";
/** Of one field. A server takes 8 KiB and more for a whole head. */
const FIELD_BYTES_MAX = 4096;

/** What is kept of a token that is known. */
interface Pass {
  readonly identity: Identity;
  readonly isAllowed: boolean;
  readonly lines: EncodedLines;
}

export function createJwtFeature(options: JwtOptions, ports: GatePorts): Feature {
  const jwt = new Jwt(options, ports);
  return { name: NAME, request: (exchange) => jwt.request(exchange) };
}

class Jwt {
  readonly #gate: TokenGate<Pass>;
  readonly #asserted: NameVariants;

  constructor(options: JwtOptions, ports: GatePorts) {
    const { tokens, realm, failedAttempts, headers } = options;
    const isAllowed = compileRequirement(options.require);
    this.#asserted = new NameVariants(headers.map(([field]) => field));
    this.#gate = new TokenGate({ by: NAME, realm, tokens, failedAttempts }, ports, (claims) => {
      const identity = identityOf(claims, NAME);
      const lines = linesOf(headers, claims);
      if (identity === null || lines === null) return "token_claim_refused";
      return { identity, isAllowed: isAllowed(claims), lines };
    });
  }

  request(exchange: Exchange): Waiting {
    const token = this.#gate.admit(exchange);
    if (token instanceof Promise) return this.#admitLater(exchange, token);
    if (token !== null) this.#pass(exchange, token.value);
  }

  async #admitLater(exchange: Exchange, admitted: Promise<GoodToken<Pass> | null>): Promise<void> {
    const token = await admitted;
    if (token !== null) this.#pass(exchange, token.value);
  }

  #pass(exchange: Exchange, { identity, isAllowed, lines }: Pass): void {
    identify(exchange, identity);
    if (!isAllowed) {
      this.#gate.refuse(exchange, "not_allowed");
      return;
    }
    const { fields } = exchange.request;
    this.#asserted.removeFrom(fields);
    fields.appendEncoded(lines);
  }
}

function compileRequirement(required: JwtOptions["require"]): (claims: JsonObject) => boolean {
  if (required === null) return () => true;
  if (typeof required !== "string") {
    return (claims) => required.every((one) => hasRequiredValue(claimAt(claims, one.name), one));
  }
  const rule = parseRule(required);
  return (claims) => holds(rule, claims);
}

/** null: a claim is no text that can stand in a field. One that is missing has no field. */
function linesOf(headers: JwtOptions["headers"], claims: JsonObject): EncodedLines | null {
  const lines: [string, string][] = [];
  for (const [field, claim] of headers) {
    const value = claimAt(claims, claim);
    if (value === undefined || value === null) continue;
    const text = fieldText(value);
    if (text === null) return null;
    lines.push([field, text]);
  }
  return new EncodedLines(lines);
}

/** Text, a whole number, true or false; of a list, those with commas between them, which then may not be in them. */
function fieldText(value: unknown): string | null {
  if (!Array.isArray(value)) return latin1Of(itemText(value));
  const items = value.map(itemText);
  return items.some((item) => item === null || item.includes(",")) ? null : latin1Of(items.join(","));
}

function itemText(value: unknown): string | null {
  if (typeof value === "boolean") return String(value);
  const text = value === "" ? "" : claimText(value);
  // White space at the ends of a value is lost on the way: " root" would arrive as "root".
  return text === null || text !== text.trim() ? null : text;
}

/** The bytes of UTF-8 as the characters of a field. */
function latin1Of(text: string | null): string | null {
  if (text === null) return null;
  const bytes = Buffer.from(text);
  return bytes.length > FIELD_BYTES_MAX ? null : bytes.toString("latin1");
}
