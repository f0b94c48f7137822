/**
 * The sessions of a cluster: a node for each master, each with its own link and its own answers. Which node has what is the table's;
 * this is a store that asks it.
 */
import type { SessionRecord, SessionStore } from "../../core/ports.ts";
import { ClusterTable } from "./cluster-table.ts";
import type { RedisAddress } from "./link.ts";
import { type NodeOptions, RedisNode, type RedisSurroundings } from "./node.ts";

const SILENT_OBSERVER = { onAway() {}, onBack() {}, onUntracked() {} };

export class RedisCluster implements SessionStore {
  readonly #table: ClusterTable<RedisNode>;

  /** `options` are those of each node; where it is and how many answers it keeps is decided here. */
  constructor(seeds: readonly RedisAddress[], options: NodeOptions, around: RedisSurroundings) {
    const { clock, observer, unavailable } = around;
    this.#table = new ClusterTable<RedisNode>(seeds, {
      clock,
      onAway: (failure) => observer.onAway(failure),
      onBack: () => observer.onBack(),
      unavailable,
      open: (address, isForTable) => {
        const node = { ...options, address: () => Promise.resolve(address) };
        return new RedisNode(node, isForTable ? { ...around, observer: SILENT_OBSERVER } : around);
      },
    });
  }

  start(): void {
    this.#table.start();
  }

  peek(key: string): SessionRecord | null | undefined {
    return this.#table.nodeOf(key)?.peek(key);
  }

  get(key: string): Promise<SessionRecord | null> {
    return this.#table.on(key, (node, isAsking) => node.get(key, isAsking));
  }

  put(key: string, value: string, ttlMs: number | null): Promise<void> {
    return this.#table.on(key, (node, isAsking) => node.put(key, value, ttlMs, isAsking));
  }

  delete(key: string): Promise<boolean> {
    return this.#table.on(key, (node, isAsking) => node.delete(key, isAsking));
  }

  async *list(prefix: string): AsyncIterable<{ readonly key: string; readonly ttlMs: number | null }> {
    if (this.#table.nodes.length === 0) await this.#table.refresh();
    for (const node of this.#table.nodes) yield* node.list(prefix);
  }

  close(): Promise<void> {
    return this.#table.close();
  }
}
