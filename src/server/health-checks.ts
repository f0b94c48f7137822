/**
 * The health checks of a configuration's upstreams, through reloads. A server is asked once, whoever uses it: what is found holds for every
 * upstream that has it and says the same about checks.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { Clock, Random } from "../core/ports.ts";
import { NameCache } from "../io/dialing/name-cache.ts";
import { type ProbeTarget, type ProbeTls, probeHealth } from "../io/health-probe.ts";
import { HealthCheck } from "../upstreams/health/check.ts";
import type { HealthConfig } from "../upstreams/health/options.ts";
import type { UpstreamConfig, UpstreamServer, UpstreamTls } from "../upstreams/options.ts";
import type { ServerStates } from "../upstreams/server-states.ts";
import type { AppLog } from "./app-log.ts";

export interface HealthChecksSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: AppLog;
  /** Where it is noted for whoever chooses among the servers of an upstream. */
  readonly statesOf: (upstream: UpstreamConfig) => ServerStates;
}

/** A server of an upstream. */
interface Place {
  readonly upstream: UpstreamConfig;
  /** Among its servers. */
  readonly index: number;
  readonly states: ServerStates;
}

interface Checked {
  readonly server: UpstreamServer;
  readonly check: HealthCheck;
  places: readonly Place[];
  /** null: it passes, or has not been asked. */
  failure: { readonly reason: string; readonly sinceMs: number } | null;
}

/**
 * From the first check of one server to that of the next: those of thousands at once would have each other take longer than they may, and
 * come together again in each interval.
 */
const APART_MS = 1;

export class HealthChecks {
  readonly #around: HealthChecksSurroundings;
  readonly #names: NameCache;
  /** By what is asked of whom, and how. */
  #checked = new Map<string, Checked>();

  constructor(around: HealthChecksSurroundings) {
    this.#around = around;
    this.#names = new NameCache(around.clock);
  }

  /** From now on these are the upstreams: servers that are checked as before go on to be. */
  keep(upstreams: readonly UpstreamConfig[]): void {
    const before = this.#checked;
    this.#checked = new Map();
    let begun = 0;
    for (const [identity, places] of this.#placesOf(upstreams)) {
      const checked = before.get(identity) ?? this.#begin(places, APART_MS * begun++);
      before.delete(identity);
      this.#checked.set(identity, checked);
      this.#move(checked, places);
    }
    for (const checked of before.values()) this.#end(checked);
  }

  /** Why a server fails its checks; null: it does not. */
  reasonOf(upstream: UpstreamConfig, index: number): string | null {
    if (upstream.health === null) return null;
    return this.#checked.get(identityOf(upstream, index))?.failure?.reason ?? null;
  }

  /** All of them, for good. */
  stop(): void {
    for (const { check } of this.#checked.values()) check.stop();
    this.#checked.clear();
  }

  /** `afterMs`: from now, or so much of an interval. */
  #begin(places: readonly Place[], afterMs: number): Checked {
    const { clock, random } = this.#around;
    const [{ upstream, index }] = places as [Place];
    const health = upstream.health!;
    const server = upstream.servers[index]!;
    const target = targetOf(server, health, upstream.tls);
    const check = new HealthCheck(
      health,
      {
        clock,
        random,
        probe: (signal) => probeHealth(target, this.#names, signal),
        found: (reason) => this.#found(checked, reason),
        failsStill: (reason) => {
          if (checked.failure !== null) checked.failure = { ...checked.failure, reason };
        },
      },
      afterMs % health.intervalMs,
    );
    const checked: Checked = { server, check, places: [], failure: null };
    return checked;
  }

  /** Another configuration has it elsewhere. */
  #move(checked: Checked, places: readonly Place[]): void {
    if (checked.failure !== null) this.#noteWell(checked.places);
    checked.places = places;
    this.#note(checked);
  }

  #end({ check, places, failure }: Checked): void {
    check.stop();
    if (failure !== null) this.#noteWell(places);
  }

  #found(checked: Checked, reason: string | null): void {
    const { server, places, failure } = checked;
    const { clock, log } = this.#around;
    checked.failure = reason === null ? null : { reason, sinceMs: clock.wallMs() };
    const wasAway = (reason === null && this.#noteWell(places)) || failure !== null;
    this.#note(checked);
    const names = places.map(({ upstream }) => upstream.name);
    const about = { server: server.url, upstream: names.length === 1 ? names[0] : names };
    const isOnly = places.every(({ upstream }) => upstream.servers.length === 1);
    const meanwhile = isOnly ? "" : "; it is left out until it passes, while another one is there";
    if (reason !== null) log.warn(about, `${server.url} fails its health checks: ${reason}${meanwhile}`);
    else if (wasAway) log.info(about, `${server.url} passes its health checks${failure === null ? "" : " again"}`);
  }

  #note({ places, failure }: Checked): void {
    if (failure === null) return;
    for (const { states, index } of places) states.failsChecks(index, failure.sinceMs);
  }

  /** True: the log says that it cannot be reached. */
  #noteWell(places: readonly Place[]): boolean {
    return places.map(({ states, index }) => states.passesChecks(index)).includes(true);
  }

  /** The places of servers that are checked, by what is asked of whom. */
  #placesOf(upstreams: readonly UpstreamConfig[]): ReadonlyMap<string, readonly Place[]> {
    const all = new Map<string, Place[]>();
    for (const upstream of upstreams) {
      if (upstream.health === null) continue;
      const states = this.#around.statesOf(upstream);
      for (const index of upstream.servers.keys()) {
        const identity = identityOf(upstream, index);
        const place = { upstream, index, states };
        const places = all.get(identity);
        if (places === undefined) all.set(identity, [place]);
        else places.push(place);
      }
    }
    return all;
  }
}

/** Equal for servers that are asked the same in the same way. */
function identityOf({ health, servers, tls }: UpstreamConfig, index: number): string {
  const { url, scheme } = servers[index]!;
  return canonicalJson({ url, health, tls: scheme === "https" ? tls : null });
}

function targetOf(server: UpstreamServer, health: HealthConfig, tls: UpstreamTls): ProbeTarget {
  const { host, port, authority } = server;
  const { path, statuses, timeoutMs } = health;
  return {
    host,
    port,
    timeoutMs,
    tls: server.scheme === "https" ? probeTlsOf(server, tls) : null,
    request: path === null ? null : { path, statuses, host: health.host ?? authority },
  };
}

function probeTlsOf({ host }: UpstreamServer, { serverName, ...tls }: UpstreamTls): ProbeTls {
  return { ...tls, serverName: serverName ?? host };
}
