/** The Set-Cookie fields of one login, for browsers that came by HTTPS or not: what they get, keep and lose. */
import { ATTEMPT_LIFETIME_MS } from "./attempts.ts";
import { attemptCookieName, type CookieAttributes, prefixedName, setCookie, splitValue } from "./cookies.ts";
import type { Entry } from "./entries.ts";
import type { OidcOptions } from "./options.ts";

/** A field line. */
export type Line = readonly [name: string, value: string];

export class CookieJar {
  /** Under this name a session counts. */
  readonly sessionName: string;
  readonly #attributes: CookieAttributes;
  readonly #attemptAttributes: CookieAttributes;
  readonly #lifetimeMs: number;
  readonly #maxAge: OidcOptions["cookie"]["maxAge"];

  constructor({ cookie, lifetime }: OidcOptions, isHttps: boolean) {
    const { name, domain, path, sameSite, maxAge } = cookie;
    const secure = cookie.secure === "auto" ? isHttps : cookie.secure;
    this.#attributes = { domain, path, sameSite, secure };
    // Of this host alone, and sent when the issuer sends the browser back, which is another site's navigation.
    this.#attemptAttributes = { domain: null, path: "/", sameSite: "lax", secure };
    this.sessionName = prefixedName(name, this.#attributes);
    this.#lifetimeMs = lifetime;
    this.#maxAge = maxAge;
  }

  /** Those of a session; `had` are the names of what the browser has of another one. */
  session(entry: Entry, wallMs: number, had: readonly string[]): Line[] {
    const maxAgeSeconds = this.#maxAgeSeconds(entry, wallMs);
    // It was seen to fit when it was made.
    const parts = splitValue(this.sessionName, entry.value) ?? [];
    const stale = had.filter((name) => parts.every(([kept]) => kept !== name));
    const lines = parts.map(([name, value]) => line(setCookie(name, value, this.#attributes, maxAgeSeconds)));
    return [...lines, ...this.#without(stale, this.#attributes)];
  }

  #maxAgeSeconds({ session }: Entry, wallMs: number): number | null {
    if (this.#maxAge === "browser") return null;
    const leftMs = session.createdMs + this.#lifetimeMs - wallMs;
    return Math.max(1, Math.floor(Math.min(this.#maxAge ?? leftMs, leftMs) / 1000));
  }

  withoutSession(had: readonly string[]): Line[] {
    return this.#without(had, this.#attributes);
  }

  attempt(id: string, sealed: string): Line {
    const name = attemptCookieName(this.sessionName, id);
    return line(setCookie(name, sealed, this.#attemptAttributes, ATTEMPT_LIFETIME_MS / 1000));
  }

  withoutAttempts(ids: readonly string[]): Line[] {
    const names = ids.map((id) => attemptCookieName(this.sessionName, id));
    return this.#without(names, this.#attemptAttributes);
  }

  #without(names: readonly string[], attributes: CookieAttributes): Line[] {
    return names.map((name) => line(setCookie(name, "", attributes, 0)));
  }
}

function line(cookie: string): Line {
  return ["Set-Cookie", cookie];
}
