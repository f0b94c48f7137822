/**
 * What `forward` says in so many words, and what people write without knowing what it means: networks that have everybody in them,
 * as clients and as destinations.
 *
 * Asked once the file is known to be right.
 */
import { formatListenAddress } from "../core/option-addresses.ts";
import { strangersReach } from "./forward-checks.ts";
import type { Finding, Path } from "./problems.ts";
import type { ConfigBlocks } from "./schema.ts";

export function opennessWarnings({ servers }: ConfigBlocks): readonly Finding[] {
  return Object.entries(servers).flatMap(([name, server]) => {
    const { auth, allow = [] } = server.forward ?? {};
    const reached = strangersReach(server);
    const isProved = auth !== undefined && !auth.optional;
    return allow.flatMap(({ clients = [], users, networks = [] }, index): readonly Finding[] => {
      const path: Path = ["servers", name, "forward", "allow", index];
      const found: Finding[] = [];
      if (reached !== null && !isProved && users === undefined && haveEverybody(clients)) {
        const message = `serves everybody who can reach ${formatListenAddress(reached)}`;
        found.push({ path: [...path, "clients"], at: "value", message });
      }
      if (haveEverybody(networks)) {
        const message = "lifts the ban on private addresses, metadata services included";
        found.push({ path: [...path, "networks"], at: "value", message });
      }
      return found;
    });
  });
}

/** Whether every public address of IPv4, or every one of IPv6, is in these networks: as in 0.0.0.0/0, or in its two halves. */
function haveEverybody(networks: readonly string[]): boolean {
  const isIpv6 = (network: string): boolean => network.includes(":");
  const ipv4 = networks.filter((network) => !isIpv6(network)).map((network) => rangeOf(network, ".", 10, 8));
  const ipv6 = networks.filter(isIpv6).map((network) => rangeOf(network, ":", 16, 16));
  return cover(ipv4, 1, 223) || cover(ipv6, 0x2000, 0x3fff);
}

interface Range {
  readonly first: number;
  readonly last: number;
}

/** Of the first part of its addresses, which has so many bits; one with a part of such a range has none of it here. */
function rangeOf(network: string, separator: string, radix: number, bits: number): Range {
  const [address = "", prefix = ""] = network.split("/");
  const first = Number.parseInt(address.split(separator)[0] || "0", radix);
  return { first, last: first + Math.floor(2 ** (bits - Number(prefix))) - 1 };
}

function cover(ranges: readonly Range[], first: number, last: number): boolean {
  let next = first;
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    if (range.first <= next && range.last >= next) next = range.last + 1;
  }
  return next > last;
}
