/**
 * Addresses of sockets as the rest of the proxy knows them: IPv4 written as IPv6 is given as IPv4, zones of link-local
 * addresses are left out. It never resolves a name.
 */
import net from "node:net";
import type { Address } from "../core/ports.ts";

/** The end of a unix socket that has no path: every client of one. */
export const UNNAMED: Address = { family: 0, address: "", port: 0 };

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The address that a socket gives as text; `undefined` for unix sockets and for sockets that have lost their peer. */
export function addressOf(text: string | undefined, port: number | undefined): Address {
  if (text === undefined || text === "") return UNNAMED;
  const mapped = MAPPED_IPV4.exec(text);
  if (mapped !== null) return { family: 4, address: mapped[1]!, port: port ?? 0 };
  const zone = text.indexOf("%");
  const address = zone < 0 ? text : text.slice(0, zone);
  return { family: net.isIPv6(address) ? 6 : 4, address, port: port ?? 0 };
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
