/**
 * Networks as text: checked, and brought into the one form that equal networks share. It decides whether "10.0.0.0/8" is a
 * network; it never matches an address against one.
 */
import { bytesOfAddress, formatAddress, isMappedIpv4 } from "./address-bytes.ts";

/** What a network's text is: canonical, not a network at all, or one whose host bits are set. */
export type CidrVerdict =
  | { readonly kind: "network"; readonly cidr: string }
  | { readonly kind: "hostBits"; readonly meant: string }
  | { readonly kind: "invalid" };

const INVALID: CidrVerdict = { kind: "invalid" };
const PREFIX = /^(0|[1-9]\d{0,2})$/;

/**
 * Judges "10.0.0.0/8", "fd00::/8", or one address, which is a network of itself. IPv4 written as IPv6 (RFC 4291,
 * section 2.5.5.2) becomes IPv4, as addresses of connections are.
 */
export function judgeCidr(text: string): CidrVerdict {
  const slash = text.indexOf("/");
  const parsed = bytesOfAddress(slash < 0 ? text : text.slice(0, slash));
  if (parsed === null) return INVALID;
  const prefixText = slash < 0 ? null : text.slice(slash + 1);
  if (prefixText !== null && !PREFIX.test(prefixText)) return INVALID;
  let bytes = parsed;
  let prefix = prefixText === null ? bytes.length * 8 : Number(prefixText);
  if (prefix > bytes.length * 8) return INVALID;
  if (bytes.length === 16 && isMappedIpv4(bytes) && prefix >= 96) {
    bytes = bytes.slice(12);
    prefix -= 96;
  }
  const masked = bytes.map((byte, index) => byte & maskOfByte(prefix - index * 8));
  const cidr = `${formatAddress(masked)}/${prefix}`;
  return masked.every((byte, index) => byte === bytes[index])
    ? { kind: "network", cidr }
    : { kind: "hostBits", meant: cidr };
}

/** The mask of a byte of which `bits` (any number) belong to the prefix. */
function maskOfByte(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}
