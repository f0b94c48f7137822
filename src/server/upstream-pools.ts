/**
 * The pools of connections to upstreams, through reloads: what is configured as before is the same pool, with its
 * connections; what is not is made anew, and the old one closes its connections as they become idle.
 *
 * Plan first, then keep or forget the plan: making a pool opens nothing, so a reload that fails leaves no trace.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { DialTls } from "../core/ports.ts";
import type { UpstreamConfig } from "../upstreams/options.ts";
import { type PoolServer, type PoolSurroundings, UpstreamPool } from "../upstreams/pool.ts";
import type { DialFiles, TlsFiles } from "./tls-files.ts";

/** What is offered to upstreams by ALPN: the one version of HTTP that is spoken to them. */
const ALPN = ["http/1.1"];

interface PlannedPool {
  /** Equal texts, equal pools; the contents of files included. */
  readonly identity: string;
  readonly pool: UpstreamPool;
}

/** The pools of one configuration, by name. */
export type PoolPlan = ReadonlyMap<string, PlannedPool>;

export class UpstreamPools {
  readonly #around: PoolSurroundings;
  #current: PoolPlan = new Map();

  constructor(around: PoolSurroundings) {
    this.#around = around;
  }

  /** Pools that are there already, and new ones where there are none like them. */
  plan(upstreams: readonly UpstreamConfig[], files: TlsFiles): PoolPlan {
    const plan = new Map<string, PlannedPool>();
    for (const upstream of upstreams) {
      const dialFiles = files.forUpstream(upstream.tls);
      // Whoever is asked how it is, and how often, its connections are the same.
      const identity = canonicalJson({ upstream: { ...upstream, health: null }, dialFiles });
      const existing = this.#current.get(upstream.name);
      plan.set(upstream.name, existing?.identity === identity ? existing : this.#create(upstream, dialFiles, identity));
    }
    return plan;
  }

  /** From now on these are the pools. */
  keep(plan: PoolPlan): void {
    for (const [name, { pool }] of this.#current) {
      const next = plan.get(name)?.pool;
      if (next !== pool) pool.close(next?.options);
    }
    this.#current = plan;
  }

  /** A plan that is not to be. */
  forget(plan: PoolPlan): void {
    for (const [name, { pool }] of plan) if (this.#current.get(name)?.pool !== pool) pool.close();
  }

  /** null: no upstream has this name. */
  find(name: string): UpstreamPool | null {
    return this.#current.get(name)?.pool ?? null;
  }

  /** Closes every connection at once. */
  destroy(): void {
    for (const { pool } of this.#current.values()) pool.destroy();
  }

  #create(upstream: UpstreamConfig, files: DialFiles, identity: string): PlannedPool {
    const { tls, ...options } = upstream;
    const clients = new Map<string, DialTls>();
    const servers = upstream.servers.map((server): PoolServer => {
      if (server.scheme === "http") return { ...server, tls: null };
      const serverName = tls.serverName ?? server.host;
      let client = clients.get(serverName);
      if (client === undefined) {
        client = { serverName, verify: tls.verify, ...files, minVersion: tls.minVersion, alpn: ALPN };
        clients.set(serverName, client);
      }
      return { ...server, tls: client };
    });
    return { identity, pool: new UpstreamPool({ ...options, servers }, this.#around) };
  }
}
