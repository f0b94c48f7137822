/**
 * Which server of an upstream a request is sent to: the balancer's choice among the best that there are. Best are those that are
 * well; then those that fail their checks, because they may still answer; then those that cannot be reached, which costs an
 * attempt; and last those that have failed this request before.
 */
import type { Clock } from "../core/ports.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import type { Balancer } from "./balance.ts";
import type { Server } from "./server.ts";

export class ServerChoice {
  readonly #servers: readonly Server[];
  readonly #balancer: Balancer;
  readonly #clock: Clock;
  /** Servers that failed an exchange which is still going on. */
  readonly #failed = new WeakMap<UpstreamHandler, Set<Server>>();

  constructor(servers: readonly Server[], balancer: Balancer, clock: Clock) {
    this.#servers = servers;
    this.#balancer = balancer;
    this.#clock = clock;
  }

  /**
   * null: all are at their maximum, or all that are better than the others: a place there comes sooner than an answer of a server that
   * is away. That is the same for every request, or one that waits would hold up those behind it.
   */
  choose(sender: Sender, handler: UpstreamHandler): Server | null {
    const servers = this.#servers;
    if (servers.length === 1) {
      const only = servers[0]!;
      return only.hasPlace() ? only : null;
    }
    const now = this.#clock.now();
    const failed = sender.attempts > 1 ? this.#failed.get(handler) : undefined;
    // Nearly always: then the list of all of them is the list to choose from, and none is made.
    if (failed === undefined && this.#areWell(now)) return this.#balancer(servers, sender);
    const withPlace = servers.filter((server) => server.hasPlace());
    if (withPlace.length === 0 || bestRank(withPlace, now) > bestRank(servers, now)) return null;
    const fresh = failed === undefined ? withPlace : withPlace.filter((server) => !failed.has(server));
    const candidates = fresh.length > 0 ? fresh : withPlace;
    return this.#balancer(bestOf(candidates, now), sender);
  }

  /** Those for which a request waits while they are at their maximum, whatever the others are. */
  get best(): readonly Server[] {
    return bestOf(this.#servers, this.#clock.now());
  }

  /** Each server has a place, and none is to be avoided. */
  #areWell(nowMs: number): boolean {
    for (const server of this.#servers) if (!server.hasPlace() || server.isAvoided(nowMs)) return false;
    return true;
  }

  /** Another attempt for this handler is better made elsewhere. */
  failedFor(handler: UpstreamHandler, server: Server): void {
    const failed = this.#failed.get(handler);
    if (failed === undefined) this.#failed.set(handler, new Set([server]));
    else failed.add(server);
  }

  /** One has failed this handler, and there is another that has not, though it may have to be waited for. */
  hasOther(handler: UpstreamHandler): boolean {
    const failed = this.#failed.get(handler);
    if (failed === undefined) return false;
    const now = this.#clock.now();
    return this.#servers.some((server) => !failed.has(server) && (server.hasPlace() || rankOf(server, now) === WELL));
  }
}

const WELL = 0;
const FAILS_CHECKS = 1;
const LOST = 2;

/** The less, the better. */
function rankOf(server: Server, nowMs: number): number {
  if (!server.isAvoided(nowMs)) return WELL;
  return server.isLost(nowMs) ? LOST : FAILS_CHECKS;
}

function bestRank(servers: readonly Server[], nowMs: number): number {
  let best = LOST;
  for (const server of servers) best = Math.min(best, rankOf(server, nowMs));
  return best;
}

function bestOf(servers: readonly Server[], nowMs: number): readonly Server[] {
  const best = bestRank(servers, nowMs);
  return servers.filter((server) => rankOf(server, nowMs) === best);
}
