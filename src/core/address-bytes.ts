/**
 * IP addresses as bytes, as protocols carry them, and as text, as the rest of the proxy knows them. It reads only the one
 * form of IPv4 that all readers share, and gives IPv6 in the one form of RFC 5952.
 *
 * Addresses are read by the URL parser of the platform, which knows every form of IPv6 and gives the shortest one. Its
 * lenient forms of IPv4 (octal, hexadecimal, fewer than four parts) are refused here first.
 */
import type { Address } from "./ports.ts";

const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** 4 or 16 bytes of an address without brackets and zone, or null. */
export function bytesOfAddress(text: string): readonly number[] | null {
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

/** Whether 16 bytes are an IPv4 address written as IPv6 (RFC 4291, section 2.5.5.2). */
export function isMappedIpv4(bytes: ArrayLike<number>, at = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** The text of 4 or 16 bytes. IPv4 written as IPv6 stays IPv6. */
export function formatAddress(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) {
    groups.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16));
  }
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** The address in 4 or 16 bytes at `at`; IPv4 written as IPv6 is given as IPv4, as addresses of connections are. */
export function addressAt(bytes: Uint8Array, at: number, length: 4 | 16, port: number): Address {
  const isMapped = length === 16 && isMappedIpv4(bytes, at);
  const address = formatAddress([...bytes.subarray(isMapped ? at + 12 : at, at + length)]);
  return { family: isMapped || length === 4 ? 4 : 6, address, port };
}
