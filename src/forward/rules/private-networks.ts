/**
 * Addresses that are not those of public servers: of this machine, of private networks, of links, groups and documentation (the
 * special-purpose registries of RFC 6890, and multicast). A proxy that connects to them for anybody opens what stands behind it.
 *
 * IPv6 addresses in which an IPv4 address lies (NAT64, 6to4) are judged by that one: a gateway would take them there. Of all other
 * IPv6 addresses only those of 2000::/3 are given to anybody (RFC 4291 section 2.4, IANA's registry of global unicast).
 */
import { CidrSet, canonicalAddress } from "../../semantics/cidr.ts";

const PRIVATE = CidrSet.parse([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  // Link-local, with the metadata services of most clouds at 169.254.169.254.
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // The metadata service of Azure, from within a public network.
  "168.63.129.16",
  // Of protocols, Teredo among them, and of documentation.
  "2001::/23",
  "2001:db8::/32",
  "3fff::/20",
]);

/**
 * What IPv6 addresses are given out of. Outside stand "::1", addresses in which an IPv4 address lies in some old way, unique local,
 * link-local and multicast ones.
 */
const GLOBAL = CidrSet.parse(["2000::/3"]);

/** Of NAT64 (RFC 6052) the last 32 bits are IPv4, of 6to4 (RFC 3056) those behind the first 16. */
const NAT64 = CidrSet.parse(["64:ff9b::/96"]);
const SIX_TO_FOUR = CidrSet.parse(["2002::/16"]);

/** Whether no public server has this address. `address` is canonical, without brackets; what is no address is private. */
export function isPrivate(address: string): boolean {
  if (canonicalAddress(address) === null) return true;
  if (!address.includes(":")) return PRIVATE.has(address);
  const within = embeddedIpv4(address);
  return within === null ? !GLOBAL.has(address) || PRIVATE.has(address) : PRIVATE.has(within);
}

/** The IPv4 address to which a gateway takes what is sent to this one (NAT64, 6to4); null: there is none in it. */
export function embeddedIpv4(address: string): string | null {
  const isNat64 = NAT64.has(address);
  if (!isNat64 && !SIX_TO_FOUR.has(address)) return null;
  const groups = groupsOf(address);
  const [high, low] = isNat64 ? [groups[6]!, groups[7]!] : [groups[1]!, groups[2]!];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** The eight groups of an IPv6 address in canonical form. */
function groupsOf(address: string): readonly number[] {
  const [left = "", right] = address.split("::");
  const parse = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const before = parse(left);
  const after = right === undefined ? [] : parse(right);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}
