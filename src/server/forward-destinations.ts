/**
 * Where forwarded requests go, through reloads: a server whose `forward` is as before keeps its connections; another one gets
 * new ones, and the old close as they become idle. Rules belong to it: connections were made by what they allowed.
 *
 * Plan first, then keep or forget the plan: making destinations opens nothing.
 */
import { canonicalJson } from "../config/canonical.ts";
import type { Config, ForwardServerConfig } from "../config/config.ts";
import type { Dialer, DialTls } from "../core/ports.ts";
import { type DestinationsSurroundings, ForwardDestinations } from "../forward/destinations.ts";
import { TLS_ORIGINS_MAX } from "../forward/limits.ts";
import type { ForwardConfig } from "../forward/options.ts";
import { Ways } from "../forward/parents/ways.ts";
import { GenerationCache } from "../identity/tokens/generation-cache.ts";
import type { NameCache } from "../io/dialing/name-cache.ts";
import { forwardRouteName } from "./compose-forward.ts";
import type { TlsFiles } from "./tls-files.ts";
import { viaNameOf } from "./via-name.ts";

const ALPN = ["http/1.1"];

export interface ForwardSurroundings extends Omit<DestinationsSurroundings, "dialer"> {
  namesFor(dns: ForwardConfig["dns"]): NameCache;
  /** A dialer that resolves names by them. */
  dialerWith(names: NameCache): Dialer;
  /** A text of this proxy's own, for servers whose name in Via nothing else tells apart. */
  readonly instance: string;
}

interface Planned {
  /** Equal texts, equal destinations; the contents of files included. */
  readonly identity: string;
  readonly destinations: ForwardDestinations;
  /** What its names are resolved by. */
  readonly names: NameCache;
}

/** By the server's name. */
export type DestinationsPlan = ReadonlyMap<string, Planned>;

export class ForwardUpstreams {
  readonly #around: ForwardSurroundings;
  #current: DestinationsPlan = new Map();
  /** Of configurations that are gone, while they still have connections. */
  readonly #leaving = new Set<ForwardDestinations>();

  constructor(around: ForwardSurroundings) {
    this.#around = around;
  }

  plan(config: Config, files: TlsFiles): DestinationsPlan {
    const plan = new Map<string, Planned>();
    for (const server of config.servers) {
      const { name, forward } = server;
      if (forward === null) continue;
      const ca = forward.originCa === null ? null : files.authorities(forward.originCa);
      const parentCas = forward.via.map((rule) =>
        rule === "direct" || rule.ca === null ? null : files.authorities(rule.ca),
      );
      const viaName = viaNameOf(config, server, this.#around.instance);
      const identity = canonicalJson({ forward, ca, parentCas, viaName });
      const existing = this.#current.get(name);
      plan.set(
        name,
        existing?.identity === identity ? existing : { identity, ...this.#create(name, forward, viaName, files) },
      );
    }
    return plan;
  }

  /** From now on these are the ones. */
  keep(plan: DestinationsPlan): void {
    for (const [name, { destinations }] of this.#current) {
      if (plan.get(name)?.destinations === destinations) continue;
      destinations.close();
      this.#leaving.add(destinations);
    }
    for (const destinations of this.#leaving) if (destinations.isEmpty) this.#leaving.delete(destinations);
    this.#current = plan;
  }

  /** Closes every connection at once. */
  destroy(): void {
    for (const { destinations } of this.#current.values()) destinations.destroy();
    for (const destinations of this.#leaving) destinations.destroy();
  }

  #create(
    server: string,
    forward: ForwardServerConfig,
    viaName: string | null,
    files: TlsFiles,
  ): Omit<Planned, "identity"> {
    const { connectTimeoutMs, idleMs, lifetimeMs, originCa } = forward;
    const caOf = (path: string) => files.authorities(path);
    const ca = originCa === null ? null : caOf(originCa);
    // The same object for the same name, for as long as it is remembered: sessions belong to it.
    const clients = new GenerationCache<DialTls>(TLS_ORIGINS_MAX, Number.POSITIVE_INFINITY);
    const tlsFor = (serverName: string): DialTls => {
      const known = clients.get(serverName);
      if (known !== undefined) return known;
      const client = {
        serverName,
        verify: true,
        ca,
        cert: null,
        key: null,
        minVersion: "TLSv1.2",
        alpn: ALPN,
      } as const;
      clients.set(serverName, client);
      return client;
    };
    const ways = new Ways(forward.via, caOf);
    const names = this.#around.namesFor(forward.dns);
    const destinations = new ForwardDestinations(
      { name: forwardRouteName(server), connectTimeoutMs, idleMs, lifetimeMs, tlsFor, ways, viaName },
      { ...this.#around, dialer: this.#around.dialerWith(names) },
    );
    return { destinations, names };
  }
}
