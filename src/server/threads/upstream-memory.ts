/**
 * The memory in which workers share what they know of upstreams, made by the main thread: for each upstream what is known of its servers, and
 * where it has a maximum the places for connections. It is the same for all workers and through reloads, so that what was there before a
 * reload still counts.
 *
 * It is never given up: there is some for each upstream that was ever configured, of some hundred bytes.
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
} from "../../upstreams/server-states.ts";
import type { UpstreamBlock } from "./protocol.ts";

type Upstream = Config["upstreams"][number];

/** Equal for upstreams that share their memory: those of one name with the same servers. */
export function upstreamKey(options: { readonly name: string; readonly servers: readonly { readonly url: string }[] }) {
  return JSON.stringify([options.name, ...options.servers.map(({ url }) => url)]);
}

/** Servers of several upstreams that stand in one memory: a thread's counts of them in cache lines of its own. */
const PAGE_SERVERS = 64;

interface Page {
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  used: number;
}

export class UpstreamMemory {
  readonly #columns: number;
  readonly #pages: Page[] = [];
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
    for (const { memory, capacity } of this.#pages) closeStatesColumn(memory, capacity, column);
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
    let page = this.#pages.at(-1);
    if (page === undefined || page.capacity - page.used < servers) {
      const capacity = Math.max(PAGE_SERVERS, servers);
      page = { memory: new SharedArrayBuffer(statesBytes(capacity, this.#columns)), capacity, used: 0 };
      this.#pages.push(page);
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
