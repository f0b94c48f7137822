/**
 * Which server of an upstream gets a request. Pure: a balancer sees the servers that may be used, and their load; it never
 * decides whether one is well.
 */
import type { Random } from "../core/ports.ts";
import type { Sender } from "../pipeline/upstream.ts";
import type { Balance, HashKey } from "./options.ts";

/** What a balancer must know of a server. */
export interface Balanced {
  readonly url: string;
  readonly weight: number;
  /** Requests in flight and connections being made. */
  readonly active: number;
  /** State of the smooth weighted round-robin, kept by the balancer. */
  turn: number;
}

/** Picks one of `servers`, of which there is at least one. */
export type Balancer = <T extends Balanced>(servers: readonly T[], sender: Sender) => T;

export function createBalancer(balance: Balance, hashBy: HashKey, random: Random): Balancer {
  switch (balance) {
    case "round-robin":
      return roundRobin;
    case "least-connections":
      return leastConnections;
    case "random":
      return (servers) => weighted(servers, random);
    case "p2c":
      return (servers) => {
        const one = weighted(servers, random);
        const other = weighted(servers, random);
        return load(other) < load(one) ? other : one;
      };
    case "hash":
      return (servers, sender) => rendezvous(servers, hashKey(sender, hashBy));
  }
}

function load(server: Balanced): number {
  return (server.active + 1) / server.weight;
}

/** Smooth weighted round-robin: each turn all gain their weight, and the one ahead pays back the sum (nginx's method). */
function roundRobin<T extends Balanced>(servers: readonly T[]): T {
  let best = servers[0]!;
  if (servers.length === 1) return best;
  let total = 0;
  for (const server of servers) {
    server.turn += server.weight;
    total += server.weight;
    if (server.turn > best.turn) best = server;
  }
  best.turn -= total;
  return best;
}

/** Fewest requests for its weight; among equals, in turn. */
function leastConnections<T extends Balanced>(servers: readonly T[]): T {
  let least = Number.POSITIVE_INFINITY;
  for (const server of servers) least = Math.min(least, load(server));
  return roundRobin(servers.filter((server) => load(server) === least));
}

function weighted<T extends Balanced>(servers: readonly T[], random: Random): T {
  let total = 0;
  for (const server of servers) total += server.weight;
  let at = random.next() * total;
  for (const server of servers) {
    at -= server.weight;
    if (at < 0) return server;
  }
  return servers[servers.length - 1]!;
}

function hashKey(sender: Sender, by: HashKey): string {
  let key: string | null = null;
  if (by.kind === "path") key = sender.request.path;
  else if (by.kind === "header") key = sender.request.fields.get(by.name);
  else if (by.kind === "cookie") key = cookie(sender.request.fields.get("cookie"), by.name);
  return key ?? sender.clientAddress;
}

/** The value of a cookie (RFC 6265 section 4.2.1); null when it is not there. */
function cookie(header: string | null, name: string): string | null {
  for (const pair of header?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (equals >= 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return null;
}

/**
 * Highest random weight (rendezvous) hashing: when a server leaves, only its own keys move. Weights by the logarithmic
 * method (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).
 */
function rendezvous<T extends Balanced>(servers: readonly T[], key: string): T {
  let best = servers[0]!;
  let bestScore = Number.NEGATIVE_INFINITY;
  // Once for all servers: it may be a path, which is as long as its client likes.
  const ofKey = fnv1a(FNV_BASIS, key);
  for (const server of servers) {
    const unit = (mixed(fnv1a(ofKey, server.url)) + 1) / 4_294_967_297;
    const score = -server.weight / Math.log(unit);
    if (score > bestScore) {
      best = server;
      bestScore = score;
    }
  }
  return best;
}

const FNV_BASIS = 0x811c9dc5;

/** FNV-1a, 32 bits: goes on from the hash of what stands before. */
function fnv1a(hash: number, text: string): number {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finishing mix of MurmurHash3: similar keys must give unrelated numbers. */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
