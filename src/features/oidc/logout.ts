/**
 * The ends of a session that somebody asks for: its user, here and at the issuer (OpenID Connect RP-Initiated Logout
 * 1.0), or the issuer, because it ended elsewhere (Back-Channel Logout 1.0).
 */
import { ProxyError } from "../../core/errors.ts";
import { AttemptLimit } from "../../identity/attempt-limit.ts";
import { refusal } from "../../identity/refusal.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type Arrival, isAhead, isCrossSite, originOf } from "./arrival.ts";
import { PRIVATE } from "./login.ts";
import type { OidcOptions } from "./options.ts";
import type { Realm } from "./realm.ts";

/**
 * A logout token is used at once; one that is older was kept by somebody (section 2.7 asks for about two minutes of
 * `exp`).
 */
const LOGOUT_TOKEN_AGE_MAX_MS = 5 * 60_000;
/** A logout token has a dozen claims; those of a session with all its tokens would not be more. */
const FORM_BYTES_MAX = 64 * 1024;
const LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout";

export class Logout {
  readonly #realm: Realm;
  readonly #limit: AttemptLimit;

  constructor(realm: Realm, options: OidcOptions) {
    this.#realm = realm;
    this.#limit = new AttemptLimit("oidc", realm.ports.attempts, options.failedAttempts);
  }

  /** The user wants to leave. */
  async byUser({ exchange, jar, cookies }: Arrival): Promise<void> {
    const { request } = exchange;
    if (request.method !== "GET" && request.method !== "POST") {
      const fields = [["Allow", "GET, POST"]] as const;
      throw new ProxyError("http_request_error", "oidc: logout is asked by GET or POST", { status: 405, fields });
    }
    if (isCrossSite(request) || isAhead(request)) {
      const cause = new Error("another site, or a browser by itself, wants to log the user out");
      throw refusal("oidc", "not_allowed", { cause });
    }
    const { keeper, provider, options } = this.#realm;
    const entry = cookies.session === null ? null : await keeper.find(cookies.session);
    if (entry !== null) await keeper.end(entry);
    const fields = [...PRIVATE, ...jar.withoutSession(cookies.sessionNames)];
    const { postLogoutRedirect } = options;
    const origin = originOf(request);
    const target =
      postLogoutRedirect === null || origin === null ? null : new URL(postLogoutRedirect, `${origin}/`).href;
    // Ended here in any case: an issuer that is away must not keep somebody from leaving.
    const known = await provider.find().catch(() => null);
    let location = postLogoutRedirect;
    if (known?.hasEndSession && entry !== null) location = provider.endSessionUrl(known, entry.session.idToken, target);
    if (location !== null) exchange.respond({ status: 303, fields: [["Location", location], ...fields] });
    else {
      const contentType = ["Content-Type", "text/plain; charset=utf-8"] as const;
      exchange.respond({ status: 200, fields: [contentType, ...fields], body: "You are logged out.\n" });
    }
  }

  /** The issuer says that a session has ended. Section 2.8: 200, or 400 with a reason that tells nothing new. */
  async byIssuer(exchange: Exchange): Promise<void> {
    if (exchange.request.method !== "POST") {
      const fields = [["Allow", "POST"]] as const;
      throw new ProxyError("http_request_error", "oidc: logout tokens are posted", { status: 405, fields });
    }
    const body = await exchange.wholeBody(FORM_BYTES_MAX);
    await this.#endByToken(exchange, new URLSearchParams(body.toString("utf8")));
    exchange.respond({ status: 200, fields: PRIVATE });
  }

  async #endByToken(exchange: Exchange, form: URLSearchParams): Promise<void> {
    const { provider, stored, ports } = this.#realm;
    const address = exchange.clientAddress;
    const blocked = this.#limit.refusalOf(address);
    if (blocked !== null) throw blocked;
    const known = await provider.find();
    const signed = await known.cautiousKeys.verify(form.get("logout_token") ?? "", "oidc");
    const facts = { issuer: known.issuer, clientId: this.#realm.options.clientId };
    const limits = { wallMs: ports.clock.wallMs(), skewMs: this.#realm.options.allowedSkew };
    const logout = signed === null ? null : logoutOf(signed.header.typ, signed.payload, facts, limits);
    if (logout === null) {
      this.#limit.count(address);
      throw badToken("it is not a logout token by the issuer for us, or too old");
    }
    if (await stored!.isUsed(logout.tokenId)) throw badToken("it was used before");
    await stored!.endAll(logout.sid === null ? { subject: logout.subject! } : { sid: logout.sid });
    // Only now: while the store is away, the issuer asks again with the same token.
    await stored!.markUsed(logout.tokenId, LOGOUT_TOKEN_AGE_MAX_MS + 2 * limits.skewMs);
  }
}

function badToken(why: string): ProxyError {
  return new ProxyError("http_request_error", "oidc: the logout token is refused", {
    reason: "token_claim_refused",
    cause: new Error(why),
  });
}

/** What a logout token asks for. */
export interface LogoutRequest {
  readonly tokenId: string;
  readonly sid: string | null;
  readonly subject: string | null;
}

/** Section 2.6, in its order, on a token whose signature is the issuer's. null: it is none that counts. */
export function logoutOf(
  type: string | undefined,
  claims: Readonly<Record<string, unknown>>,
  { issuer, clientId }: { readonly issuer: string; readonly clientId: string },
  { wallMs, skewMs }: { readonly wallMs: number; readonly skewMs: number },
): LogoutRequest | null {
  // An ID token has another type, or none; an access token of RFC 9068 has its own.
  if (type !== undefined && !/^(?:application\/)?(?:logout\+jwt|JWT)$/i.test(type)) return null;
  const { iss, aud, iat, exp, jti, sub, sid, events } = claims;
  if (iss !== issuer) return null;
  if (aud !== clientId && !(Array.isArray(aud) && aud.includes(clientId))) return null;
  if (typeof iat !== "number" || typeof exp !== "number" || !Number.isFinite(iat + exp)) return null;
  if (iat * 1000 > wallMs + skewMs || iat * 1000 < wallMs - LOGOUT_TOKEN_AGE_MAX_MS - skewMs) return null;
  if (exp * 1000 <= wallMs - skewMs) return null;
  const subject = typeof sub === "string" && sub !== "" ? sub : null;
  const session = typeof sid === "string" && sid !== "" ? sid : null;
  if (subject === null && session === null) return null;
  if (typeof events !== "object" || events === null || Array.isArray(events)) return null;
  const event: unknown = (events as Record<string, unknown>)[LOGOUT_EVENT];
  if (typeof event !== "object" || event === null) return null;
  if (Object.hasOwn(claims, "nonce")) return null;
  if (typeof jti !== "string" || jti === "") return null;
  return { tokenId: jti, sid: session, subject };
}
