/**
 * How the requests of one route use an upstream, worked out from what its layers of options say. Apart from the options
 * themselves, since every thread needs this and only the one that reads the configuration needs their schema.
 */
import { RESPONSE_TIMEOUT_MS, RETRIES_MAX } from "../core/limits.ts";
import type { UpstreamUse } from "../pipeline/upstream.ts";
import type { UpstreamOverrides } from "./options.ts";

/**
 * No byte of an answer's body for so long: the upstream is dead. nginx's 60 s cuts quiet event streams, which is what its
 * users complain about; Caddy and Traefik wait for ever. Event streams send a comment every 15 s to 2 min by custom.
 */
export const ANSWER_PROGRESS_TIMEOUT_MS = 300_000;

/** The first layer that says something, else the default. */
export function firstOf<T>(
  layers: readonly UpstreamOverrides[],
  get: (layer: UpstreamOverrides) => T | undefined,
  otherwise: T,
): T {
  for (const layer of layers) {
    const value = get(layer);
    if (value !== undefined) return value;
  }
  return otherwise;
}

/** Layers come strongest first. */
export function resolveUpstreamUse(layers: readonly UpstreamOverrides[]): UpstreamUse {
  return {
    host: firstOf<UpstreamUse["host"]>(layers, (layer) => layer.host, "preserve"),
    responseTimeoutMs: firstOf(layers, (layer) => layer.timeouts?.response, RESPONSE_TIMEOUT_MS),
    bodyTimeoutMs: firstOf(layers, (layer) => layer.timeouts?.body, ANSWER_PROGRESS_TIMEOUT_MS),
    retriesMax: firstOf(layers, (layer) => layer.retries?.max, RETRIES_MAX),
  };
}
