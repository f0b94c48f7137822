/**
 * The feature `oidc`: login by OpenID Connect in front of a route. Requests of the login's own paths are answered here;
 * all others pass with a session, and without one are sent to the issuer or refused.
 *
 * Whatever is decided, the client's own copies of the fields that name the user are gone, and so are the cookies of the
 * login: the upstream sees neither. A session that is known and needs nothing is a look-up and a copy, without a
 * promise.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { ResponseMessage } from "../../core/message.ts";
import { identify } from "../../identity/identify.ts";
import { refusal } from "../../identity/refusal.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Feature, Waiting } from "../../pipeline/phases.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import { type Arrival, isHttps, isNavigation } from "./arrival.ts";
import type { Line } from "./cookie-jar.ts";
import { takeCookies } from "./cookies.ts";
import { type Entry, latestOf } from "./entries.ts";
import { challenge, Login } from "./login.ts";
import { Logout } from "./logout.ts";
import type { OidcOptions } from "./options.ts";
import { type OidcPorts, type Realm, realmOf } from "./realm.ts";
import { type View, viewOf } from "./view.ts";

export type { OidcPorts } from "./realm.ts";

const NO_LINES: readonly Line[] = [];

export function createOidcFeature(options: OidcOptions, ports: OidcPorts): Feature {
  const realm = realmOf(options, ports);
  const guard = new Guard(options, realm);
  return {
    name: "oidc",
    request: (exchange) => guard.request(exchange),
    // A session in a store keeps its cookie.
    ...(!realm.keeper.isShared && { response: (exchange, response) => guard.response(exchange, response) }),
  };
}

class Guard {
  readonly #options: OidcOptions;
  readonly #realm: Realm;
  readonly #number: number;
  readonly #login: Login;
  readonly #logout: Logout;
  readonly #needsToken: boolean;
  /** Fields that only we may set. */
  readonly #ownFields: NameVariants;
  /** New cookies that the answers of these exchanges have to bring. */
  readonly #owed = new WeakMap<Exchange, readonly Line[]>();

  constructor(options: OidcOptions, realm: Realm) {
    this.#options = options;
    this.#realm = realm;
    this.#number = realm.join(options);
    this.#login = new Login(realm, options);
    this.#logout = new Logout(realm, options);
    this.#needsToken = options.forward !== "none";
    this.#ownFields = new NameVariants([
      ...Object.keys(options.claims),
      ...(this.#needsToken ? ["authorization"] : []),
    ]);
  }

  request(exchange: Exchange): Waiting {
    const { request } = exchange;
    const { fields } = request;
    this.#ownFields.removeFrom(fields);
    const realm = this.#realm;
    const jar = realm.jar(isHttps(request));
    const cookies = takeCookies(fields, this.#options.cookie.name, jar.sessionName);
    if (realm.paths.has(request.path)) return this.#ownPath({ exchange, jar, cookies });
    const value = cookies.session;
    const entry = value === null ? null : realm.keeper.peek(value);
    if (entry === undefined) return this.#find({ exchange, jar, cookies });
    if (entry === null) return this.#withoutSession({ exchange, jar, cookies });
    if (entry.calmUntilMs > realm.ports.deadlines.coarseMs && entry.replacedBy === null) {
      const view = this.#viewOf(entry);
      if (!view.lacksToken) return this.#pass(exchange, view, NO_LINES);
    }
    return this.#attend({ exchange, jar, cookies }, entry);
  }

  response(exchange: Exchange, response: ResponseMessage): void {
    const owed = this.#owed.get(exchange);
    if (owed === undefined) return;
    for (const [name, value] of owed) response.fields.append(name, value);
    // Whatever the upstream says of its answer, what is in these fields is for one browser (RFC 9111 section 5.2.2.4).
    response.fields.append("Cache-Control", 'no-cache="set-cookie"');
  }

  #ownPath(arrival: Arrival): Waiting {
    const { exchange } = arrival;
    const { path } = exchange.request;
    const { redirectPath, loginPath, logoutPath } = this.#realm.options;
    if (path === redirectPath) return this.#login.finish(arrival);
    if (path === logoutPath) return this.#logout.byUser(arrival);
    if (path === loginPath) {
      const target = new URLSearchParams(exchange.request.query ?? "").get("rd") ?? "/";
      return this.#login.begin(arrival, target);
    }
    return this.#logout.byIssuer(exchange);
  }

  async #find(arrival: Arrival): Promise<void> {
    const entry = await this.#realm.keeper.find(arrival.cookies.session!);
    if (arrival.exchange.ended) return;
    await (entry === null ? this.#withoutSession(arrival) : this.#attend(arrival, entry));
  }

  #attend(arrival: Arrival, entry: Entry): Waiting {
    const attended = this.#realm.renewal.attend(latestOf(entry), this.#needsToken);
    if (attended instanceof Promise) return attended.then((found) => this.#attended(arrival, found));
    return this.#attended(arrival, attended);
  }

  /** `entry` is what the session is by now; null: it has ended. */
  #attended(arrival: Arrival, entry: Entry | null): Waiting {
    const { exchange, jar, cookies } = arrival;
    if (exchange.ended) return;
    if (entry === null) return this.#withoutSession(arrival);
    let lines = NO_LINES;
    if (entry.value !== cookies.session) {
      lines = jar.session(entry, this.#realm.ports.clock.wallMs(), cookies.sessionNames);
      this.#owed.set(exchange, lines);
    }
    const view = this.#viewOf(entry);
    if (!view.lacksToken) return this.#pass(exchange, view, lines);
    // Good enough for other routes: it stays where it is.
    return this.#withoutSession({ exchange, jar, cookies: { ...cookies, session: null, sessionNames: [] } });
  }

  #viewOf(entry: Entry): View {
    let view = entry.views[this.#number];
    if (view === undefined) {
      view = viewOf(entry.session, this.#options);
      entry.views[this.#number] = view;
    }
    return view;
  }

  #pass(exchange: Exchange, view: View, lines: readonly Line[]): void {
    identify(exchange, view.identity);
    if (view.unmet !== null) {
      const cause = new Error(`the claim ${view.unmet} is not as required`);
      exchange.fail(refusal("oidc", "not_allowed", { fields: lines, cause }));
      return;
    }
    if (view.lines !== null) exchange.request.fields.appendEncoded(view.lines);
  }

  #withoutSession(arrival: Arrival): Waiting {
    const { exchange } = arrival;
    if (exchange.ended) return;
    const { request } = exchange;
    if (this.#options.unauthenticated === "redirect" && isNavigation(request)) {
      return this.#login.begin(arrival, request.receivedTarget);
    }
    exchange.fail(this.#required(arrival));
  }

  #required({ jar, cookies }: Arrival): ProxyError {
    const fields = jar.withoutSession(cookies.sessionNames);
    return refusal("oidc", "login_required", { challenge: challenge(jar.sessionName), fields });
  }
}
