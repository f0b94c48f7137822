/**
 * Networks as text: checked, and brought into the one form that equal networks share. It decides whether "10.0.0.0/8" is a
 * network; it never matches an address against one.
 *
 * Addresses are read by the URL parser of the platform, which knows every form of IPv6 and gives the shortest one
 * (RFC 5952). Its lenient forms of IPv4 (octal, hexadecimal, fewer than four parts) are refused here first.
 */

/** What a network's text is: canonical, not a network at all, or one whose host bits are set. */
export type CidrVerdict =
  | { readonly kind: "network"; readonly cidr: string }
  | { readonly kind: "hostBits"; readonly meant: string }
  | { readonly kind: "invalid" };

const INVALID: CidrVerdict = { kind: "invalid" };
const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const PREFIX = /^(0|[1-9]\d{0,2})$/;

/**
 * Judges "10.0.0.0/8", "fd00::/8", or one address, which is a network of itself. IPv4 written as IPv6 (RFC 4291,
 * section 2.5.5.2) becomes IPv4, as addresses of connections are.
 */
export function judgeCidr(text: string): CidrVerdict {
  const slash = text.indexOf("/");
  const parsed = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (parsed === null) return INVALID;
  const prefixText = slash < 0 ? null : text.slice(slash + 1);
  if (prefixText !== null && !PREFIX.test(prefixText)) return INVALID;
  let bytes = parsed;
  let prefix = prefixText === null ? bytes.length * 8 : Number(prefixText);
  if (prefix > bytes.length * 8) return INVALID;
  if (isMappedIpv4(bytes) && prefix >= 96) {
    bytes = bytes.slice(12);
    prefix -= 96;
  }
  const masked = bytes.map((byte, index) => byte & maskOfByte(prefix - index * 8));
  const cidr = `${formatAddress(masked)}/${prefix}`;
  return masked.every((byte, index) => byte === bytes[index])
    ? { kind: "network", cidr }
    : { kind: "hostBits", meant: cidr };
}

/** 4 or 16 bytes of an address, or null. */
function parseAddress(text: string): readonly number[] | null {
  if (IPV4.test(text)) {
    const bytes = text.split(".").map(Number);
    return bytes.every((byte) => byte <= 255) ? bytes : null;
  }
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return null;
  const url = URL.parse(`http://[${text}]/`);
  return url === null ? null : bytesOfIpv6(url.hostname.slice(1, -1));
}

/** 16 bytes of an IPv6 address in the form that the URL parser gives: hexadecimal groups, at most one "::". */
function bytesOfIpv6(text: string): readonly number[] {
  const [left = "", right] = text.split("::");
  const before = groupsOf(left);
  const after = right === undefined ? [] : groupsOf(right);
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]);
}

function groupsOf(text: string): readonly number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

function isMappedIpv4(bytes: readonly number[]): boolean {
  return (
    bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.slice(0, 10).every((byte) => byte === 0)
  );
}

/** The mask of a byte of which `bits` (any number) belong to the prefix. */
function maskOfByte(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

function formatAddress(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) {
    groups.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16));
  }
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
