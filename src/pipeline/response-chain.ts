/**
 * The transforms of features on the body of an answer, composed: what comes in passes the hooks on the upstream's body,
 * then those on the client's, the last feature of `use` first, and leaves to the client.
 */
import type { ProxyError } from "../core/errors.ts";
import type { BodySink, BodySource } from "./body.ts";
import type { Chain, Hook } from "./chain.ts";
import type { Exchange } from "./exchange.ts";
import { GuardedTransform } from "./guard.ts";
import { SourceLink } from "./request-body.ts";

export interface ResponseChain {
  /** Where the body goes in. */
  readonly first: BodySink;
  /** What is paused when the client is slow. */
  readonly last: BodySource;
}

/**
 * Asks the features; null when none wants the body. `source` gives the body, `client` takes it; features at or behind
 * `answeredBy` do not see the answer; `forwarded`: it came from an upstream; `onThrow` is told what a transform throws.
 */
export function composeResponse(
  exchange: Exchange,
  chain: Chain,
  forwarded: boolean,
  answeredBy: number,
  source: BodySource,
  client: BodySink,
  onThrow: (error: ProxyError) => void,
): ResponseChain | null {
  let first = client;
  let last: BodySource | null = null;
  let link: SourceLink | null = null;
  const wrap = (hooks: readonly Hook[] | null, phase: "responseBody" | "upstreamResponseBody"): void => {
    for (const { feature, index } of hooks ?? []) {
      if (index >= answeredBy) continue;
      const feed = new SourceLink(source);
      const made = feature[phase]!(exchange, first, feed);
      if (made === null) continue;
      const transform = new GuardedTransform(made, onThrow);
      if (link === null) last = transform;
      else link.target = transform;
      link = feed;
      first = transform;
    }
  };
  // Built from the client inwards: the first feature of `use` is the outermost.
  wrap(chain.responseBody, "responseBody");
  if (forwarded) wrap(chain.upstreamResponseBody, "upstreamResponseBody");
  return last === null ? null : { first, last };
}
