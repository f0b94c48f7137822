/** The features of a route, made from what the configuration says of them. The one place that knows every feature. */
import type { UseConfig } from "../config/config.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import type { Clock, Fetch, HttpClient, Kept, Random, SessionStore } from "../core/ports.ts";
import { createApiKeyFeature } from "../features/api-key/index.ts";
import { createBasicAuthFeature } from "../features/basic-auth/index.ts";
import { createClientCertificateFeature } from "../features/client-certificate/index.ts";
import { createCompressFeature } from "../features/compress/index.ts";
import { createCredentialsFeature } from "../features/credentials/index.ts";
import { createForwardAuthFeature } from "../features/forward-auth/index.ts";
import { createHeadersFeature } from "../features/headers/index.ts";
import { createIpAllowFeature } from "../features/ip-allow/index.ts";
import { createJwtFeature } from "../features/jwt/index.ts";
import { createOidcFeature } from "../features/oidc/index.ts";
import { createRewriteFeature } from "../features/rewrite/index.ts";
import { createStripPrefixFeature } from "../features/strip-prefix/index.ts";
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
  /** The store of a name in `Config.stores`. */
  sessions(name: string): SessionStore;
  /** What fetches documents of the web; `ca` is PEM text of the authorities to trust, null: the system's. */
  fetchFor(ca: string | null): Fetch;
  /** What outlives a reload. */
  readonly kept: Kept;
  readonly passwords: PasswordChecks;
  /** The users and keys that stand in files of their own. */
  readonly files: CredentialFiles;
  /** Requests of the proxy's own over the pool of a name in `Config.upstreams`. */
  http(upstream: string): HttpClient;
}

export function createFeature(use: UseConfig, ports: FeaturePorts): Feature {
  switch (use.feature) {
    case "headers":
      return createHeadersFeature(use.options);
    case "stripPrefix":
      return createStripPrefixFeature(use.options);
    case "rewrite":
      return createRewriteFeature(use.options);
    case "ipAllow":
      return createIpAllowFeature(use.options);
    case "compress":
      return createCompressFeature(use.options);
    case "credentials":
      return createCredentialsFeature(use.options, { ...ports, store: ports.sessions(use.options.session.store.name) });
    case "jwt":
      return createJwtFeature(use.options, ports);
    case "basicAuth":
      return createBasicAuthFeature(use.options, {
        passwords: ports.passwords,
        attempts: ports.attempts,
        users: (file) => ports.files.users(file),
      });
    case "apiKey":
      return createApiKeyFeature(use.options, {
        attempts: ports.attempts,
        keys: (file) => ports.files.keys(file),
      });
    case "clientCertificate":
      return createClientCertificateFeature(use.options, ports);
    case "forwardAuth":
      return createForwardAuthFeature(use.options, { http: ports.http(use.upstream), deadlines: ports.deadlines });
    case "oidc":
      return createOidcFeature(use.options, ports);
    case "plugin":
      // The configuration has seen that it has a name and a hook; its type is what defineConfig asked the program for.
      return use.plugin as Feature;
  }
}
