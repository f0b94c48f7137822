/**
 * Addresses of sockets as the rest of the proxy knows them: IPv4 written as IPv6 is given as IPv4, zones of link-local
 * addresses are left out. It never resolves a name.
 */
import net from "node:net";
import { judgeCidr } from "../core/cidr.ts";
import type { Address } from "../core/ports.ts";

/** The end of a unix socket that has no path: every client of one. */
export const UNNAMED: Address = { family: 0, address: "", port: 0 };

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** What every form of such an address begins with. */
const MAPPED_PREFIX = /^[0:]*:ffff:/i;

/** The address that a socket gives as text; `undefined` for unix sockets and for sockets that have lost their peer. */
export function addressOf(text: string | undefined, port: number | undefined): Address {
  if (text === undefined || text === "") return UNNAMED;
  const mapped = MAPPED_IPV4.exec(text);
  if (mapped !== null) return { family: 4, address: mapped[1]!, port: port ?? 0 };
  const address = withoutZone(text);
  return { family: net.isIPv6(address) ? 6 : 4, address, port: port ?? 0 };
}

/** The address that is a host already, whichever way it is written; null: it is a name. */
export function literalAddress(host: string, port: number): Address | null {
  const family = net.isIP(host);
  if (family === 0) return null;
  const mapped = family === 6 ? mappedIpv4Of(host) : null;
  return mapped === null ? { family: family as 4 | 6, address: host, port } : { family: 4, address: mapped, port };
}

/** The IPv4 address that an IPv6 one stands for (RFC 4291, section 2.5.5.2), in any of its forms; null: it is IPv6. */
export function mappedIpv4Of(address: string): string | null {
  if (!MAPPED_PREFIX.test(address)) return null;
  const verdict = judgeCidr(withoutZone(address));
  if (verdict.kind !== "network" || verdict.cidr.includes(":")) return null;
  return verdict.cidr.slice(0, verdict.cidr.indexOf("/"));
}

/** "fe80::1" of "fe80::1%eth0". */
export function withoutZone(address: string): string {
  const zone = address.indexOf("%");
  return zone < 0 ? address : address.slice(0, zone);
}

/** "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock": for messages. */
export function describeAddress(address: Address): string {
  if (address.family === 0) return address.address === "" ? "a unix socket" : `unix:${address.address}`;
  return describeHostPort(address.address, address.port);
}

/** The same of a name or an address and a port. */
export function describeHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
