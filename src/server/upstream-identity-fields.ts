/**
 * Fields by which an upstream learns who asks must not come from clients, on any route that leads there: an upstream that trusts
 * `x-user` does so for the route without authentication, too. A feature removes what clients send before it sets its own; here the
 * same is done for the other routes to the same servers.
 */
import type { Config, RouteConfig } from "../config/config.ts";
import { claimsOf } from "../config/identity-fields.ts";
import { type HeaderPattern, HeaderPatterns } from "../core/header-patterns.ts";
import { AssertedFields } from "../features/forward-auth/asserted-fields.ts";
import type { Feature } from "../pipeline/phases.ts";

/**
 * Where clients send credentials of their own, which an upstream verifies itself. Some features replace them, and on other
 * routes they are the client's all the same.
 */
const OF_CLIENTS: ReadonlySet<string> = new Set(["authorization", "cookie"]);

export class UpstreamIdentityFields {
  /** By the URL of the server that trusts them. */
  readonly #trusted = new Map<string, Map<string, HeaderPattern>>();
  /** URLs of servers, by the name of the upstream. */
  readonly #servers: ReadonlyMap<string, readonly string[]>;

  constructor(config: Config) {
    this.#servers = new Map(config.upstreams.map(({ name, servers }) => [name, servers.map(({ url }) => url)]));
    for (const route of config.servers.flatMap(({ routes }) => routes)) {
      const fields = fieldsSetOn(route);
      for (const url of this.#serversOf(route)) {
        const trusted = this.#trusted.get(url) ?? new Map();
        for (const [key, pattern] of fields) trusted.set(key, pattern);
        this.#trusted.set(url, trusted);
      }
    }
  }

  /**
   * To stand behind all features of the route that may look for credentials in such a field, which those behind a cache do not;
   * null: its own see to everything. Only what the client has sent is removed, and of trailers all: who takes them for fields of the head
   * would believe them, and they come when nothing can be refused any more.
   */
  guardOf(route: RouteConfig): Feature | null {
    const own = fieldsSetOn(route);
    const trusted = new Map(this.#serversOf(route).flatMap((url) => [...(this.#trusted.get(url) ?? [])]));
    const others = [...trusted].filter(([key]) => !own.has(key)).map(([, pattern]) => pattern);
    if (others.length === 0) return null;
    const fields = new AssertedFields(new HeaderPatterns(others), OF_CLIENTS);
    return {
      name: "identity fields",
      request(exchange) {
        fields.removeFrom(exchange.request.fields, exchange.receivedRows);
        exchange.passesTrailers = false;
      },
    };
  }

  #serversOf({ action }: RouteConfig): readonly string[] {
    return action.kind === "proxy" ? (this.#servers.get(action.upstream) ?? []) : [];
  }
}

/** Names and regular expressions, each under a text of its own: no name has a slash. */
function fieldsSetOn({ use }: RouteConfig): ReadonlyMap<string, HeaderPattern> {
  const patterns = use.flatMap((one) => claimsOf(one)?.sets.patterns ?? []);
  const keyed = patterns.map((one) => ["name" in one ? one.name : `/${one.regex}/`, one] as const);
  return new Map(keyed.filter(([key]) => !OF_CLIENTS.has(key)));
}
