/**
 * The hosts file as a table: from each name to its addresses, in the order of the file, as hosts(5) has it. A line that is
 * none is passed over, as every reader of this file does: a typing error in one line must not take the others away.
 */
import net from "node:net";
import type { ResolvedAddress } from "../dialing/name-cache.ts";

/** By names in lower case, without a dot at the end. */
export type HostsTable = ReadonlyMap<string, readonly ResolvedAddress[]>;

export function parseHosts(text: string): HostsTable {
  const table = new Map<string, ResolvedAddress[]>();
  for (const line of text.split("\n")) {
    const comment = line.indexOf("#");
    const [address = "", ...names] = (comment < 0 ? line : line.slice(0, comment)).trim().split(/\s+/);
    const family = net.isIP(address);
    if (family === 0) continue;
    for (const spelling of names) {
      const name = canonicalName(spelling);
      const known = table.get(name);
      if (known === undefined) table.set(name, [{ address, family: family as 4 | 6 }]);
      else if (!known.some((one) => one.address === address)) known.push({ address, family: family as 4 | 6 });
    }
  }
  return table;
}

/** What all spellings of a name share: DNS knows no case, and a dot at the end only says that the name is whole. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}
