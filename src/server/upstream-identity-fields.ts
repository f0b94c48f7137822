/**
 * Fields by which an upstream learns who asks must not come from clients, on any route that leads there: an upstream that trusts
 * `x-user` does so for the route without authentication, too. A feature removes what clients send before it sets its own; here the
 * same is done for the other routes to the same servers.
 */
import type { Config, RouteConfig, UseConfig } from "../config/config.ts";
import { IdentityField } from "../identity/identity-field.ts";
import type { Feature } from "../pipeline/phases.ts";

export class UpstreamIdentityFields {
  /** Names in lower case, by the URL of the server that trusts them. */
  readonly #trusted = new Map<string, Set<string>>();
  /** URLs of servers, by the name of the upstream. */
  readonly #servers: ReadonlyMap<string, readonly string[]>;

  constructor(config: Config) {
    this.#servers = new Map(config.upstreams.map(({ name, servers }) => [name, servers.map(({ url }) => url)]));
    for (const route of config.servers.flatMap(({ routes }) => routes)) {
      const fields = route.use.flatMap(fieldsSetBy);
      for (const url of this.#serversOf(route)) {
        const trusted = this.#trusted.get(url) ?? new Set();
        for (const field of fields) trusted.add(field);
        this.#trusted.set(url, trusted);
      }
    }
  }

  /** To stand before all features of the route; null: its own see to everything. */
  guardOf(route: RouteConfig): Feature | null {
    const own = new Set(route.use.flatMap(fieldsSetBy));
    const trusted = new Set(this.#serversOf(route).flatMap((url) => [...(this.#trusted.get(url) ?? [])]));
    const fields = [...trusted].filter((name) => !own.has(name)).map((name) => new IdentityField(name));
    if (fields.length === 0) return null;
    return {
      name: "identity fields",
      request(exchange) {
        for (const field of fields) field.remove(exchange.request.fields);
      },
    };
  }

  #serversOf({ action }: RouteConfig): readonly string[] {
    return action.kind === "proxy" ? (this.#servers.get(action.upstream) ?? []) : [];
  }
}

/** Of one feature. */
function fieldsSetBy(use: UseConfig): readonly string[] {
  switch (use.feature) {
    case "basicAuth":
      return [use.options.userHeader ?? []].flat();
    case "apiKey":
      return [use.options.nameHeader ?? []].flat();
    case "clientCertificate":
      return Object.keys(use.options.headers);
    default:
      return [];
  }
}
