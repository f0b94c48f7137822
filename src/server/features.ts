/**
 * The features of a route, made from what the configuration says of them. The one place that knows every feature.
 *
 * What no route uses is not loaded: some features bring large libraries with them, and every thread would hold them in memory.
 */
import type { Cache } from "../caching/cache.ts";
import type { Config, UseConfig } from "../config/config.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import type { Clock, Fetch, HttpClient, Kept, Random, SessionStore } from "../core/ports.ts";
import type { createKisscache, KisscacheFeatures, KisscachePorts } from "../features/kisscache/index.ts";
import type { KisscacheOptions } from "../features/kisscache/options.ts";
import type { StoreFacts } from "../features/kisscache/status.ts";
import type { ForwardCounters } from "../forward/access.ts";
import type { FailedAttempts } from "../identity/failed-attempts.ts";
import type { PasswordChecks } from "../identity/password-checks.ts";
import type { Feature } from "../pipeline/phases.ts";
import type { CredentialFiles } from "./credential-files.ts";

/** What features have of the world outside. */
export interface FeaturePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: DeadlineWheel;
  /** Failures to authenticate, counted by all threads together. */
  readonly attempts: FailedAttempts;
  /** Tunnels and users of the forward proxy, likewise. */
  readonly forward: ForwardCounters;
  /** The cache of a name in `Config.caches`. */
  cache(name: string): Cache;
  /** The store of a name in `Config.stores`. */
  sessions(name: string): SessionStore;
  /** What fetches documents of the web; `ca` is PEM text of the authorities to trust, null: the system's. */
  fetchFor(ca: string | null): Fetch;
  /** What outlives a reload. */
  readonly kept: Kept;
  readonly passwords: PasswordChecks;
  /** The users and keys that stand in files of their own. */
  readonly files: CredentialFiles;
  /** What is known of the cache of a name in `Config.caches`; null: nothing yet. */
  cacheFacts(name: string): StoreFacts | null;
  /** Requests of the proxy's own over the pool of a name in `Config.upstreams`. */
  http(upstream: string): HttpClient;
}

type FeatureName = UseConfig["feature"];
type UseOf<Name extends FeatureName> = Extract<UseConfig, { readonly feature: Name }>;
type CreateKisscache = typeof createKisscache;
type Make<Use extends UseConfig = UseConfig> = (use: Use, ports: FeaturePorts, scope: string) => Feature;

const load: { readonly [Name in FeatureName]: () => Promise<Make<UseOf<Name>>> } = {
  async headers() {
    const { createHeadersFeature } = await import("../features/headers/index.ts");
    return ({ options }) => createHeadersFeature(options);
  },
  async stripPrefix() {
    const { createStripPrefixFeature } = await import("../features/strip-prefix/index.ts");
    return ({ options }) => createStripPrefixFeature(options);
  },
  async rewrite() {
    const { createRewriteFeature } = await import("../features/rewrite/index.ts");
    return ({ options }) => createRewriteFeature(options);
  },
  async ipAllow() {
    const { createIpAllowFeature } = await import("../features/ip-allow/index.ts");
    return ({ options }) => createIpAllowFeature(options);
  },
  async compress() {
    const { createCompressFeature } = await import("../features/compress/index.ts");
    return ({ options }) => createCompressFeature(options);
  },
  async credentials() {
    const { createCredentialsFeature } = await import("../features/credentials/index.ts");
    return ({ options }, ports) =>
      createCredentialsFeature(options, { ...ports, store: ports.sessions(options.session.store.name) });
  },
  async jwt() {
    const { createJwtFeature } = await import("../features/jwt/index.ts");
    return ({ options }, ports) => createJwtFeature(options, ports);
  },
  async basicAuth() {
    const { createBasicAuthFeature } = await import("../features/basic-auth/index.ts");
    return ({ options }, { passwords, attempts, files }) =>
      createBasicAuthFeature(options, { passwords, attempts, users: (file) => files.users(file) });
  },
  async apiKey() {
    const { createApiKeyFeature } = await import("../features/api-key/index.ts");
    return ({ options }, { attempts, files }) =>
      createApiKeyFeature(options, { attempts, keys: (file) => files.keys(file) });
  },
  async clientCertificate() {
    const { createClientCertificateFeature } = await import("../features/client-certificate/index.ts");
    return ({ options }, ports) => createClientCertificateFeature(options, ports);
  },
  async forwardAuth() {
    const { createForwardAuthFeature } = await import("../features/forward-auth/index.ts");
    return ({ options, upstream }, { http, deadlines }) =>
      createForwardAuthFeature(options, { http: http(upstream), deadlines });
  },
  async oidc() {
    const { createOidcFeature } = await import("../features/oidc/index.ts");
    return ({ options }, ports) => createOidcFeature(options, ports);
  },
  async cache() {
    const { createCacheFeature } = await import("../features/cache/index.ts");
    return ({ options, cache }, ports, scope) =>
      createCacheFeature(options, { ...ports, cache: ports.cache(cache), scope });
  },
  async plugin() {
    // The configuration has seen that it has a name and a hook; its type is what defineConfig asked the program for.
    return ({ plugin }) => plugin as Feature;
  },
};

/** Makes the features of one configuration. */
export class FeatureMakers {
  readonly #makers: ReadonlyMap<FeatureName, Make>;
  /** null: no route is handled by it. */
  readonly #kisscache: CreateKisscache | null;

  private constructor(makers: ReadonlyMap<FeatureName, Make>, kisscache: CreateKisscache | null) {
    this.#makers = makers;
    this.#kisscache = kisscache;
  }

  static async load({ servers }: Config): Promise<FeatureMakers> {
    const uses = servers.flatMap(({ routes, forward }) => [
      ...routes.flatMap(({ use, action }) => (action.kind === "kisscache" ? [...use, action.cache] : use)),
      ...(forward?.use ?? []),
    ]);
    const makers = new Map<FeatureName, Make>();
    for (const name of new Set(uses.map(({ feature }) => feature))) makers.set(name, (await load[name]()) as Make);
    const usesKisscache = servers.some(({ routes }) => routes.some(({ action }) => action.kind === "kisscache"));
    const kisscache = usesKisscache ? (await import("../features/kisscache/index.ts")).createKisscache : null;
    return new FeatureMakers(makers, kisscache);
  }

  /** `scope`: equal texts where equal URLs lead to equal answers. */
  make(use: UseConfig, ports: FeaturePorts, scope: string): Feature {
    return this.#makers.get(use.feature)!(use, ports, scope);
  }

  kisscache(options: KisscacheOptions, ports: KisscachePorts): KisscacheFeatures {
    return this.#kisscache!(options, ports);
  }
}
