/**
 * The memory in which workers share what they know of upstreams, made by the main thread: for each upstream what is known of its servers, and
 * where it has a maximum the places for connections. It is the same for all workers and through reloads, so that what was there before a
 * reload still counts.
 *
 * What is known of servers is forgotten with the last configuration that has their list; whoever still uses it keeps it to the end. Places are
 * never given up, since requests may wait for them behind a reload: there are some hundred bytes for each upstream that ever had a maximum.
 */
import { BroadcastChannel } from "node:worker_threads";
import type { Config } from "../../config/config.ts";
import { clearColumn, placesBytes } from "../../upstreams/places.ts";
import {
  closeStatesColumn,
  reportOf,
  type ServerReport,
  ServerStates,
  type StatesPlace,
  statesBytes,
  upstreamKey,
} from "../../upstreams/server-states.ts";
import type { UpstreamBlock } from "./protocol.ts";

type Upstream = Config["upstreams"][number];

/**
 * Servers of several upstreams that stand in one memory: a thread's counts of them in cache lines of its own. Nobody has the part of one that
 * was forgotten, and the whole goes with the last of them.
 */
const PAGE_SERVERS = 64;

interface Page {
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  used: number;
}

export class UpstreamMemory {
  readonly #columns: number;
  /** Where the next upstream comes when there is room for it; null: there was none yet. */
  #page: Page | null = null;
  readonly #states = new Map<string, StatesPlace>();
  readonly #places = new Map<string, { readonly buffer: SharedArrayBuffer; readonly servers: number }>();
  readonly #channel: BroadcastChannel;

  constructor(columns: number, channel: string) {
    this.#columns = columns;
    this.#channel = new BroadcastChannel(channel);
    this.#channel.unref();
  }

  /** What a configuration needs. */
  blocksOf({ upstreams }: Config): readonly UpstreamBlock[] {
    return upstreams.map((upstream) => {
      const { connectionsMax, servers } = upstream;
      const places = connectionsMax === null ? null : this.#placesOf(upstream);
      return { key: upstreamKey(upstream), servers: servers.length, states: this.#placeOf(upstream), places };
    });
  }

  /** From now on this is the configuration. */
  keep({ upstreams }: Config): void {
    const kept = new Set(upstreams.map(upstreamKey));
    for (const key of this.#states.keys()) if (!kept.has(key)) this.#states.delete(key);
  }

  /** For who notes what is found about servers, and counts nothing. */
  statesOf(upstream: Upstream): ServerStates {
    return new ServerStates(this.#placeOf(upstream), 0);
  }

  /** Of its servers, in their order. */
  reportsOf(upstream: Upstream): readonly ServerReport[] {
    const place = this.#placeOf(upstream);
    return upstream.servers.map((_, server) => reportOf(place, server, this.#columns));
  }

  /** Takes from a thread that is gone what it held, and tells the others. */
  closeColumn(column: number): void {
    for (const place of this.#states.values()) closeStatesColumn(place, column);
    for (const [key, { buffer, servers }] of this.#places) {
      clearColumn(buffer, { servers, columns: this.#columns }, column);
      this.#channel.postMessage(key);
    }
  }

  close(): void {
    this.#channel.close();
  }

  #placeOf(upstream: Upstream): StatesPlace {
    const key = upstreamKey(upstream);
    let place = this.#states.get(key);
    if (place === undefined) {
      place = this.#roomFor(upstream.servers.length);
      this.#states.set(key, place);
    }
    return place;
  }

  #roomFor(servers: number): StatesPlace {
    let page = this.#page;
    if (page === null || page.capacity - page.used < servers) {
      const capacity = Math.max(PAGE_SERVERS, servers);
      page = { memory: new SharedArrayBuffer(statesBytes(capacity, this.#columns)), capacity, used: 0 };
      this.#page = page;
    }
    const { memory, capacity, used } = page;
    page.used += servers;
    return { memory, capacity, first: used };
  }

  #placesOf(upstream: Upstream): SharedArrayBuffer {
    const key = upstreamKey(upstream);
    let places = this.#places.get(key);
    if (places === undefined) {
      const servers = upstream.servers.length;
      places = { servers, buffer: new SharedArrayBuffer(placesBytes({ servers, columns: this.#columns })) };
      this.#places.set(key, places);
    }
    return places.buffer;
  }
}
