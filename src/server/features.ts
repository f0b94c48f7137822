/** The features of a route, made from what the configuration says of them. The one place that knows every feature. */
import type { UseConfig } from "../config/config.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import type { Clock, HttpClient, Random } from "../core/ports.ts";
import { createCompressFeature } from "../features/compress/index.ts";
import { createForwardAuthFeature } from "../features/forward-auth/index.ts";
import { createHeadersFeature } from "../features/headers/index.ts";
import { createIpAllowFeature } from "../features/ip-allow/index.ts";
import { createRewriteFeature } from "../features/rewrite/index.ts";
import { createStripPrefixFeature } from "../features/strip-prefix/index.ts";
import type { FailedAttempts } from "../identity/failed-attempts.ts";
import type { Feature } from "../pipeline/phases.ts";

/** What features have of the world outside. */
export interface FeaturePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: DeadlineWheel;
  /** Failures to authenticate, counted by all threads together. */
  readonly attempts: FailedAttempts;
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
    case "forwardAuth":
      return createForwardAuthFeature(use.options, { http: ports.http(use.upstream), deadlines: ports.deadlines });
    case "plugin":
      // The configuration has seen that it has a name and a hook; its type is what defineConfig asked the program for.
      return use.plugin as Feature;
  }
}
