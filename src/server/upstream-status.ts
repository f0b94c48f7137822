/** What the status tells of upstreams: how each server is, and what was counted. */
import type { Config } from "../config/config.ts";
import type { ServerReport } from "../upstreams/server-states.ts";
import type { ServerStatus, UpstreamStatus } from "./control.ts";

type Upstream = Config["upstreams"][number];

export interface UpstreamFacts {
  /** Of its servers, in their order. */
  readonly reportsOf: (upstream: Upstream) => readonly ServerReport[];
  /** Why a server fails its health checks; null: it does not. */
  readonly reasonOf: (upstream: Upstream, server: number) => string | null;
}

export function upstreamStatusOf({ upstreams }: Config, facts: UpstreamFacts): readonly UpstreamStatus[] {
  return upstreams.map((upstream) => ({
    name: upstream.name,
    servers: facts.reportsOf(upstream).map((report, server) => {
      const { url } = upstream.servers[server]!;
      const { connections, requests, failures, badAnswers } = report;
      return { url, ...stateOf(report, facts.reasonOf(upstream, server)), connections, requests, failures, badAnswers };
    }),
  }));
}

/** A check that fails says more than an attempt that did: it goes on. */
function stateOf(
  { lostSinceMs, reason, failingSinceMs }: ServerReport,
  failure: string | null,
): Pick<ServerStatus, "state" | "since" | "reason"> {
  if (failingSinceMs !== null) return { state: "failing", since: textOf(failingSinceMs), reason: failure };
  if (lostSinceMs !== null) return { state: "unreachable", since: textOf(lostSinceMs), reason };
  return { state: "up", since: null, reason: null };
}

function textOf(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
