/**
 * What authentication features do with fields of the request: where they look for credentials, and in which fields the
 * upstream learns who asks. The one place that says so: the order of features is judged by it (use-order.ts), and on other
 * routes to the same servers clients lose those fields by it (server/upstream-identity-fields.ts).
 *
 * Plugins are not looked into: what they do is known to nobody here.
 */
import { HeaderPatterns } from "../core/header-patterns.ts";
import type { CacheOptions } from "../features/cache/options.ts";
import type { ForwardAuthOptions } from "../features/forward-auth/options.ts";
import type { TokenOptions } from "../identity/tokens/options.ts";
import type { UseConfig } from "./config.ts";

/** A feature, before or after its pools and its cache are known. */
export type FeatureUse =
  | Exclude<UseConfig, { readonly feature: "forwardAuth" | "cache" }>
  | { readonly feature: "cache"; readonly options: CacheOptions }
  | { readonly feature: "forwardAuth"; readonly options: ForwardAuthOptions };

/** Names in lower case. */
export interface Claims {
  readonly feature: FeatureUse["feature"];
  /** Where it looks for credentials. */
  readonly reads: readonly string[];
  /** Where it tells the upstream who asks. */
  readonly sets: HeaderPatterns;
  /** Its credentials are a token. Two features may look at one token, unless the first takes it away. */
  readonly token?: "kept" | "taken";
  /** What it sets is for the upstream alone, in the place of what the client has sent there. */
  readonly replaces?: boolean;
}

/** null: no feature that authenticates. */
export function claimsOf(use: FeatureUse): Claims | null {
  const { feature } = use;
  switch (feature) {
    case "basicAuth":
      return { feature, reads: ["authorization"], sets: named(use.options.userHeader) };
    case "apiKey": {
      const { from, nameHeader } = use.options;
      return { feature, reads: fieldsOfPlaces(from), sets: named(nameHeader) };
    }
    case "clientCertificate":
      return { feature, reads: [], sets: named(...Object.keys(use.options.headers)) };
    case "oidc": {
      const { claims, forward } = use.options;
      // Its cookies are its own: no other feature looks for credentials there.
      const sets = named(...Object.keys(claims), ...(forward === "none" ? [] : ["authorization"]));
      return { feature, reads: [], sets };
    }
    case "forwardAuth":
      // What the service makes of the request is its own matter.
      return { feature, reads: [], sets: new HeaderPatterns(use.options.responseHeaders), replaces: true };
    case "credentials": {
      const { token, inject } = use.options;
      const sets = inject.kind === "headers" ? namesOf(inject.headers) : named("authorization");
      return { feature, ...tokenClaims(token), sets, replaces: true };
    }
    case "jwt":
      return { feature, ...tokenClaims(use.options.tokens), sets: namesOf(use.options.headers) };
    default:
      return null;
  }
}

function tokenClaims({ places, forward }: TokenOptions): Pick<Claims, "reads" | "token"> {
  return { reads: fieldsOfPlaces(places), token: forward ? "kept" : "taken" };
}

/** Other cookies than its own are nobody's business. */
function fieldsOfPlaces(places: readonly { readonly kind: string; readonly name?: string }[]): readonly string[] {
  return places.flatMap(({ kind, name }) => {
    if (kind === "bearer") return ["authorization"];
    return kind === "header" && name !== undefined ? [name] : [];
  });
}

function namesOf(pairs: readonly (readonly [field: string, value: string])[]): HeaderPatterns {
  return named(...pairs.map(([field]) => field));
}

function named(...names: readonly (string | undefined)[]): HeaderPatterns {
  return new HeaderPatterns(names.flatMap((name) => (name === undefined ? [] : [{ name }])));
}
