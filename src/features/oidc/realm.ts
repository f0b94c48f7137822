/**
 * One login with one issuer, shared by all routes that say the same of it: the provider, the sessions, the names of the
 * cookies. What a route makes of a session is its own (view.ts).
 */
import { createHash } from "node:crypto";
import type { DeadlineWheel } from "../../core/deadlines.ts";
import type { Clock, Fetch, Kept, SessionStore } from "../../core/ports.ts";
import { KeyRing } from "../../identity/envelope.ts";
import type { FailedAttempts } from "../../identity/failed-attempts.ts";
import { CookieJar } from "./cookie-jar.ts";
import { CookieSessions } from "./cookie-sessions.ts";
import { splitValue } from "./cookies.ts";
import type { Keeper } from "./keeper.ts";
import type { OidcOptions } from "./options.ts";
import { Provider, providerOptionsOf, type Tokens } from "./provider.ts";
import { Renewal } from "./renewal.ts";
import type { Lifetimes, Session } from "./session.ts";
import { StoredSessions } from "./stored-sessions.ts";

/** What the login has of the world outside. */
export interface OidcPorts {
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly attempts: FailedAttempts;
  /** `ca` is PEM text of the authorities to trust; null: the system's. */
  fetchFor(ca: string | null): Fetch;
  sessions(name: string): SessionStore;
  readonly kept: Kept;
}

/** What routes may say differently of one login. */
const OF_THE_ROUTE: ReadonlySet<string> = new Set([
  "claims",
  "require",
  "forward",
  "unauthenticated",
  "failedAttempts",
]);

const realms = new WeakMap<OidcPorts, Map<string, Realm>>();

/** The login that these options ask for: the same one for all routes of a configuration that say the same. */
export function realmOf(options: OidcOptions, ports: OidcPorts): Realm {
  let known = realms.get(ports);
  if (known === undefined) {
    known = new Map();
    realms.set(ports, known);
  }
  // Of the options alone: parameters for the issuer may have such names, too.
  const identity = JSON.stringify(Object.entries(options).filter(([name]) => !OF_THE_ROUTE.has(name)));
  let realm = known.get(identity);
  if (realm === undefined) {
    realm = new Realm(options, ports);
    known.set(identity, realm);
  }
  return realm;
}

export class Realm {
  readonly options: OidcOptions;
  readonly ports: OidcPorts;
  readonly keys: KeyRing;
  readonly provider: Provider;
  readonly keeper: Keeper;
  /** The keeper where sessions can be ended from elsewhere; null: they lie in cookies. */
  readonly stored: StoredSessions | null;
  readonly renewal: Renewal;
  /** What the envelopes of attempts are sealed for: ours alone open, whoever else has the same key. */
  readonly attemptContext: string;
  /** Paths of the login itself. */
  readonly paths: ReadonlySet<string>;
  readonly #lifetimes: Lifetimes;
  readonly #plainJar: CookieJar;
  readonly #secureJar: CookieJar;
  #features = 0;
  #forwards = new Set<OidcOptions["forward"]>();

  constructor(options: OidcOptions, ports: OidcPorts) {
    const { issuer, clientId, key, session } = options;
    this.options = options;
    this.ports = ports;
    this.keys = new KeyRing(key.map((digits) => ({ algorithm: "aes-256-gcm", key: digits })));
    const ofProvider = providerOptionsOf(options);
    const { clock, fetchFor, kept } = ports;
    this.provider = kept("oidc provider", ofProvider, () => new Provider(ofProvider, clock, fetchFor(options.ca)));
    this.#lifetimes = {
      lifetimeMs: options.lifetime,
      idleMs: options.idle,
      refreshBeforeMs: options.refresh,
    };
    const tag = createHash("sha256").update(`${issuer}\0${clientId}`).digest("base64url").slice(0, 16);
    this.attemptContext = `oidc login ${tag}`;
    this.#plainJar = new CookieJar(options, false);
    this.#secureJar = new CookieJar(options, true);
    if (session === null) {
      this.stored = null;
      const context = `oidc session ${tag}`;
      const longestName = this.#secureJar.sessionName;
      const fits = (value: string): boolean => splitValue(longestName, value) !== null;
      this.keeper = new CookieSessions(this.keys, context, ports.clock, fits);
    } else {
      const store = ports.sessions(session.store.name);
      const isIndexed = options.backchannelLogoutPath !== null;
      const prefix = `oidc:${tag}:`;
      this.stored = new StoredSessions(store, this.keys, prefix, ports.clock, this.#lifetimes, isIndexed);
      this.keeper = this.stored;
    }
    this.renewal = new Renewal({
      keeper: this.keeper,
      provider: this.provider,
      clock: ports.clock,
      lifetimes: this.#lifetimes,
      sessionOf: (tokens, before) => this.sessionOf(tokens, before),
      needsToken: () => this.#forwards.has("accessToken") || this.#forwards.has("idToken"),
    });
    const { redirectPath, loginPath, logoutPath, backchannelLogoutPath } = options;
    this.paths = new Set([redirectPath, loginPath, logoutPath, backchannelLogoutPath].filter((path) => path !== null));
  }

  /** A route uses the login. Gives its number among those that do. */
  join({ forward }: OidcOptions): number {
    this.#forwards.add(forward);
    return this.#features++;
  }

  /** How the browser keeps what it gets: by HTTPS or not. */
  jar(isHttps: boolean): CookieJar {
    return isHttps ? this.#secureJar : this.#plainJar;
  }

  /** In a cookie there is room for what is needed and no more. */
  sessionOf(tokens: Tokens, before: Session | null): Session {
    const wallMs = this.ports.clock.wallMs();
    const keepsAccess = this.keeper.isShared || this.#forwards.has("accessToken");
    const refreshToken = tokens.refreshToken ?? before?.refreshToken ?? null;
    return {
      subject: tokens.subject,
      sid: tokens.sid ?? before?.sid ?? null,
      idToken: tokens.idToken ?? before!.idToken,
      accessToken: keepsAccess ? tokens.accessToken : null,
      refreshToken: this.options.refresh === null ? null : refreshToken,
      gotMs: wallMs,
      endsMs: this.#endOf(tokens, wallMs),
      createdMs: before?.createdMs ?? wallMs,
      seenMs: wallMs,
      userInfo: tokens.userInfo ?? before?.userInfo ?? null,
    };
  }

  /** The end of the access token, or, where it is forwarded, of the ID token when that comes first. */
  #endOf({ lifetimeMs, idTokenEndsMs }: Tokens, wallMs: number): number | null {
    const ends = lifetimeMs === null ? [] : [wallMs + lifetimeMs];
    if (this.#forwards.has("idToken") && idTokenEndsMs !== null) ends.push(idTokenEndsMs);
    return ends.length === 0 ? null : Math.min(...ends);
  }
}
