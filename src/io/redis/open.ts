/** From options to what is on Redis: one server, the one that sentinels know, or a cluster. */
import type { SessionStore } from "../../core/ports.ts";
import { RedisCluster } from "./cluster.ts";
import type { LinkOptions, RedisAddress, RedisTls } from "./link.ts";
import { type NodeOptions, RedisNode, type RedisSurroundings } from "./node.ts";
import { masterAddress, type SentinelOptions } from "./sentinel.ts";
import { RedisTierStore, type TierOptions, type TierSurroundings } from "./tier-store.ts";

/** How to reach a Redis, whatever it is for. */
export interface RedisReach {
  readonly nodes: readonly RedisAddress[];
  readonly isCluster: boolean;
  readonly sentinel: SentinelOptions | null;
  readonly database: number;
  readonly username: string | null;
  readonly password: string | null;
  readonly tls: RedisTls | null;
  readonly tracking: "auto" | "off";
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

export interface RedisOptions extends RedisReach {
  readonly cacheEntriesMax: number;
  readonly cacheTtlMs: number;
  readonly graceMs: number | null;
}

/** Opens nothing before `start`, or before it is asked. */
export function openRedisStore(
  options: RedisOptions,
  around: RedisSurroundings,
): { readonly store: SessionStore; start(): void } {
  const node: NodeOptions = { ...options, ...linkOptions(options) };
  const store = options.isCluster ? new RedisCluster(options.nodes, node, around) : new RedisNode(node, around);
  return { store, start: () => store.start() };
}

/** What machines share that share a cache. Opens nothing before `start`. */
export function openRedisTier(reach: RedisReach, options: TierOptions, around: TierSurroundings): RedisTierStore {
  return new RedisTierStore(linkOptions(reach), reach.isCluster ? reach.nodes : null, options, around);
}

function linkOptions(reach: RedisReach): LinkOptions {
  const { sentinel, tls, connectTimeoutMs, commandTimeoutMs, username, password, database } = reach;
  const [first] = reach.nodes;
  return {
    address: async () => (sentinel === null ? first! : masterAddress(sentinel, tls, connectTimeoutMs / 2)),
    username,
    password,
    database,
    tls,
    connectTimeoutMs,
    commandTimeoutMs,
    tracking: reach.tracking === "auto",
    mustBeMaster: sentinel !== null,
  };
}
