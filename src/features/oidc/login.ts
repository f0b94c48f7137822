/**
 * The way to a session: to the issuer with a new attempt, and back with a code. Whatever does not fit an attempt of the
 * same browser is no login, and costs the issuer no question.
 */

import { ProxyError } from "../../core/errors.ts";
import { FifoMap } from "../../core/fifo-map.ts";
import { AttemptLimit } from "../../identity/attempt-limit.ts";
import { refusal } from "../../identity/refusal.ts";
import { type Arrival, originOf } from "./arrival.ts";
import {
  type Attempt,
  attemptId,
  attemptsToForget,
  idOfState,
  newAttempt,
  openAttempt,
  sealAttempt,
} from "./attempts.ts";
import type { Line } from "./cookie-jar.ts";
import type { OidcOptions } from "./options.ts";
import { type KnownProvider, ProviderRefusal } from "./provider.ts";
import type { Realm } from "./realm.ts";
import { returnPathOf } from "./return-path.ts";

/** What comes from here is for one browser, and says codes to nobody: neither to a cache nor to the next page. */
const NO_REFERRER: Line = ["Referrer-Policy", "no-referrer"];
export const PRIVATE: readonly Line[] = [["Cache-Control", "no-store"], NO_REFERRER];

/**
 * States whose code was shown to the issuer, in each thread: a code that comes twice makes an issuer revoke what it
 * gave for it.
 */
const USED_STATES_MAX = 10_000;

export class Login {
  readonly #realm: Realm;
  readonly #limit: AttemptLimit;
  readonly #used = new FifoMap<string, true>();

  constructor(realm: Realm, options: OidcOptions) {
    this.#realm = realm;
    this.#limit = new AttemptLimit("oidc", realm.ports.attempts, options.failedAttempts);
  }

  /** Sends the browser to the issuer. `target` is where it wanted to go. */
  begin(arrival: Arrival, target: string): Promise<void> {
    const { exchange, jar, cookies } = arrival;
    const { ports, keys, attemptContext, provider, paths, options } = this.#realm;
    const origin = originOf(exchange.request);
    if (origin === null) throw new ProxyError("http_request_error", "oidc: the request names no host to come back to");
    const wallMs = ports.clock.wallMs();
    const attempt = newAttempt(new URL(options.redirectPath, origin).href, returnPathOf(target, paths), wallMs);
    const lines = [
      jar.attempt(attemptId(attempt), sealAttempt(keys, attemptContext, attempt)),
      ...jar.withoutAttempts(attemptsToForget(cookies.attempts.keys(), wallMs)),
    ];
    const go = async (known: KnownProvider): Promise<void> => {
      const location = await provider.authorizationUrl(known, attempt.redirectUri, attempt);
      exchange.respond({ status: 302, fields: [["Location", location], ...PRIVATE, ...lines] });
    };
    return provider.known === null ? provider.find().then(go) : go(provider.known);
  }

  /** The issuer has sent the browser back. */
  async finish(arrival: Arrival): Promise<void> {
    const { exchange, jar } = arrival;
    const { request } = exchange;
    const query = new URLSearchParams(request.query ?? "");
    // The access log may write queries, and this one has the code.
    request.hideReceivedQuery();
    if (request.method !== "GET") {
      const fields = [["Allow", "GET"]] as const;
      throw new ProxyError("http_request_error", "oidc: the callback is asked by GET", { status: 405, fields });
    }
    const found = this.#attemptOf(arrival, query.get("state"));
    if (found === null) return this.#withoutAttempt(arrival);
    const { id, attempt } = found;
    const forget = jar.withoutAttempts([id]);
    const blocked = this.#limit.refusalOf(exchange.clientAddress);
    if (blocked !== null) throw blocked;
    this.#used.set(attempt.state, true);
    if (this.#used.size > USED_STATES_MAX) this.#used.delete(this.#used.oldest!);
    let lines: Line[];
    try {
      lines = await this.#redeem(arrival, attempt, query);
    } catch (error) {
      throw this.#failed(error, arrival, attempt, forget);
    }
    const fields = [...PRIVATE, ...forget, ...lines];
    if (this.#realm.options.cookie.sameSite === "strict") {
      // Behind a redirect from another site the browser would not send the new cookie; a page of ours is our site.
      const body = onwardPage(attempt.returnPath);
      exchange.respond({ status: 200, fields: [["Content-Type", "text/html; charset=utf-8"], ...fields], body });
    } else exchange.respond({ status: 302, fields: [["Location", attempt.returnPath], ...fields] });
  }

  /** The attempt of this browser that has the state, once. */
  #attemptOf({ cookies }: Arrival, state: string | null): { readonly id: string; readonly attempt: Attempt } | null {
    if (state === null || this.#used.has(state)) return null;
    const id = idOfState(cookies.attempts.keys(), state);
    if (id === null) return null;
    const { keys, attemptContext, ports } = this.#realm;
    const attempt = openAttempt(keys, attemptContext, cookies.attempts.get(id)!, state, ports.clock.wallMs());
    return attempt === null ? null : { id, attempt };
  }

  /**
   * Somebody went back to the callback, or it was another's. Who is logged in has come to the end of that way before.
   */
  async #withoutAttempt({ exchange, cookies, jar }: Arrival): Promise<void> {
    const { keeper } = this.#realm;
    const entry = cookies.session === null ? null : await keeper.find(cookies.session);
    if (entry === null) {
      const cause = new Error("the answer belongs to no attempt of this browser: too old, used, or of another one");
      throw refused(jar.sessionName, cause);
    }
    exchange.respond({ status: 302, fields: [["Location", "/"], ...PRIVATE] });
  }

  async #redeem({ exchange, jar, cookies }: Arrival, attempt: Attempt, query: URLSearchParams): Promise<Line[]> {
    const { provider, keeper, ports } = this.#realm;
    const known = await provider.find();
    const answer = new URL(attempt.redirectUri);
    answer.search = query.toString();
    const tokens = await provider.redeemCode(known, answer, attempt);
    const entry = await keeper.create(this.#realm.sessionOf(tokens, null));
    if (entry === null) throw new ProviderRefusal("the session is too large for cookies: use a store");
    exchange.identity = { subject: tokens.subject, by: "oidc" };
    // A new id with every login: the old one is worth nothing to whoever may have planted or seen it.
    const before = cookies.session === null ? null : await keeper.find(cookies.session);
    if (before !== null) await keeper.end(before);
    return jar.session(entry, ports.clock.wallMs(), cookies.sessionNames);
  }

  #failed(error: unknown, { exchange, jar }: Arrival, attempt: Attempt, forget: readonly Line[]): unknown {
    if (error instanceof ProviderRefusal) {
      this.#limit.count(exchange.clientAddress);
      return refused(jar.sessionName, error, forget);
    }
    // The issuer or the store is away: the browser still has its attempt, and may ask again.
    this.#used.delete(attempt.state);
    return error;
  }
}

function refused(cookieName: string, cause: Error, fields: readonly Line[] = []): ProxyError {
  const all = [NO_REFERRER, ...fields];
  return refusal("oidc", "login_failed", { challenge: challenge(cookieName), fields: all, cause });
}

/**
 * There is no registered scheme for logins by cookie; this is the one that was proposed
 * (draft-broyer-http-cookie-auth).
 */
export function challenge(cookieName: string): string {
  return `Cookie realm="oidc", cookie-name="${cookieName}"`;
}

/** A page that goes on by itself. The path is visible ASCII without backslash. */
function onwardPage(path: string): string {
  const escaped = path.replace(/[&"'<>]/g, (character) => `&#${character.charCodeAt(0)};`);
  const refresh = `<meta http-equiv="refresh" content="0;url=${escaped}">`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8">${refresh}<title>Login</title></head>
<body><p><a href="${escaped}">Continue</a></p></body>
</html>
`;
}
