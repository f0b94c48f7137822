/** From options to a store on Redis: one server, the one that sentinels know, or a cluster. */
import type { SessionStore } from "../../core/ports.ts";
import { RedisCluster } from "./cluster.ts";
import type { RedisAddress, RedisTls } from "./link.ts";
import { type NodeOptions, RedisNode, type RedisSurroundings } from "./node.ts";
import { masterAddress, type SentinelOptions } from "./sentinel.ts";

export interface RedisOptions {
  readonly nodes: readonly RedisAddress[];
  readonly isCluster: boolean;
  readonly sentinel: SentinelOptions | null;
  readonly database: number;
  readonly username: string | null;
  readonly password: string | null;
  readonly tls: RedisTls | null;
  readonly tracking: "auto" | "off";
  readonly cacheEntriesMax: number;
  readonly cacheTtlMs: number;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly graceMs: number | null;
}

/** Opens nothing before `start`, or before it is asked. */
export function openRedisStore(
  options: RedisOptions,
  around: RedisSurroundings,
): { readonly store: SessionStore; start(): void } {
  const { sentinel, tls, connectTimeoutMs } = options;
  const [first] = options.nodes;
  const address = async (): Promise<RedisAddress> =>
    sentinel === null ? first! : masterAddress(sentinel, tls, connectTimeoutMs / 2);
  const node: NodeOptions = {
    ...options,
    address,
    tracking: options.tracking === "auto",
    mustBeMaster: sentinel !== null,
  };
  const store = options.isCluster ? new RedisCluster(options.nodes, node, around) : new RedisNode(node, around);
  return { store, start: () => store.start() };
}
