/**
 * The memory in which workers share the places of upstreams that have a maximum, made by the main thread: one block for
 * each upstream, the same for all workers and through reloads, so that connections made before a reload still count.
 *
 * Blocks are never given up: there is one for each upstream that was ever configured, of some hundred bytes.
 */
import { BroadcastChannel } from "node:worker_threads";
import type { Config } from "../../config/config.ts";
import { clearColumn, placesBytes } from "../../upstreams/places.ts";
import type { PlacesBlock } from "./protocol.ts";

/** Equal for upstreams that share their places: those of one name with the same servers. */
export function placesKey(options: { readonly name: string; readonly servers: readonly { readonly url: string }[] }) {
  return JSON.stringify([options.name, ...options.servers.map(({ url }) => url)]);
}

export class PlacesRegistry {
  readonly #columns: number;
  readonly #blocks = new Map<string, PlacesBlock>();
  readonly #channel: BroadcastChannel;

  constructor(columns: number, channel: string) {
    this.#columns = columns;
    this.#channel = new BroadcastChannel(channel);
    this.#channel.unref();
  }

  /** The blocks that a configuration needs. */
  blocksOf({ upstreams }: Config): readonly PlacesBlock[] {
    return upstreams.filter(({ connectionsMax }) => connectionsMax !== null).map((upstream) => this.#blockOf(upstream));
  }

  /** Takes from a thread that has died what it held, and tells the others. */
  clearColumn(column: number): void {
    for (const { key, buffer, servers } of this.#blocks.values()) {
      clearColumn(buffer, { servers, columns: this.#columns }, column);
      this.#channel.postMessage(key);
    }
  }

  close(): void {
    this.#channel.close();
  }

  #blockOf(upstream: Config["upstreams"][number]): PlacesBlock {
    const key = placesKey(upstream);
    let block = this.#blocks.get(key);
    if (block === undefined) {
      const servers = upstream.servers.length;
      const buffer = new SharedArrayBuffer(placesBytes({ servers, columns: this.#columns }));
      block = { key, servers, buffer };
      this.#blocks.set(key, block);
    }
    return block;
  }
}
