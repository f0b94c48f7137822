/**
 * Which way a destination goes: the first rule of `via` that has its host and its port; what no rule has goes direct. Parents of
 * the same address and credentials are one, whichever rules name them: what one request has learnt of it, all know.
 */

import { HostSet } from "../rules/hosts.ts";
import type { PortRange } from "../rules/options.ts";
import type { ViaRule } from "./options.ts";
import { Parent } from "./parent.ts";

export interface Way {
  /** Of its rule, for keys. */
  readonly key: string;
  /** Requests go to a SOCKS proxy as to their origin, and to others as to a proxy. */
  readonly isSocks: boolean;
  /** In the order in which they are tried; at least one. */
  readonly parents: readonly Parent[];
}

interface Rule {
  readonly hosts: HostSet | null;
  readonly ports: readonly PortRange[] | null;
  /** null: direct. */
  readonly way: Way | null;
}

export class Ways {
  readonly #rules: readonly Rule[];

  /** `caOf`: the PEM text of a file of authorities. */
  constructor(rules: readonly (ViaRule | "direct")[], caOf: (path: string) => string | null) {
    const parents = new Map<string, Parent>();
    this.#rules = rules.map((rule, index): Rule => {
      if (rule === "direct") return { hosts: null, ports: null, way: null };
      const { hosts, ports, proxies, ca } = rule;
      const way = proxies.map((proxy) => {
        const key = JSON.stringify([proxy, ca]);
        const known = parents.get(key);
        if (known !== undefined) return known;
        const parent = new Parent(`p${parents.size}`, proxy, ca === null ? null : caOf(ca));
        parents.set(key, parent);
        return parent;
      });
      return {
        hosts: hosts === undefined ? null : new HostSet(hosts),
        ports: ports ?? null,
        way: { key: `v${index}`, isSocks: proxies[0]!.kind === "socks5", parents: [...new Set(way)] },
      };
    });
  }

  /** null: direct. `host` as rules know it. */
  of(host: string, port: number): Way | null {
    for (const { hosts, ports, way } of this.#rules) {
      if (hosts !== null && !hosts.has(host)) continue;
      if (ports !== null && !ports.some(({ first, last }) => port >= first && port <= last)) continue;
      return way;
    }
    return null;
  }
}
