/**
 * uri-host with an optional port, as in Host, the authority form and the absolute form (RFC 9112, section 3.2). It says
 * whether the text is one, and never what it means.
 *
 * Stricter than RFC 3986: a name has letters, digits, "-", "_" and single dots, which every name that resolves is made
 * of. Percent-encodings and sub-delimiters ("a,b", "a;b") are what one server takes for part of a name and another for
 * its end. There is no userinfo (RFC 9110, section 4.2.4), and a port is a number from 1 to 65535, not empty.
 */
import { latin1At } from "../../core/latin1.ts";
import { COLON } from "./characters.ts";

const DOT = 0x2e;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
const NAME = Uint8Array.from({ length: 256 }, (_, byte) => (/[-._0-9A-Za-z]/.test(String.fromCharCode(byte)) ? 1 : 0));

/** A name, an IPv4 address or a bracketed IPv6 address, with or without a port; `portNeeded`: only with one. */
export function isAuthority(bytes: Buffer, start: number, end: number, portNeeded: boolean): boolean {
  const hostEnd = bytes[start] === BRACKET ? endOfIpv6(bytes, start, end) : endOfName(bytes, start, end);
  if (hostEnd === start) return false;
  return hostEnd === end ? !portNeeded : bytes[hostEnd] === COLON && isPort(bytes, hostEnd + 1, end);
}

/** The offset behind a name; `start` when there is none, or one with an empty label before its last dot. */
function endOfName(bytes: Uint8Array, start: number, end: number): number {
  let previous = DOT;
  let i = start;
  for (; i < end && NAME[bytes[i]!] !== 0; i++) {
    if (bytes[i] === DOT && previous === DOT) return start;
    previous = bytes[i]!;
  }
  return i;
}

function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 1 || end - start > 5 || bytes[start] === 0x30) return false;
  let port = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! ^ 0x30;
    if (digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;
/** The longest text form: six groups and an IPv4 address. */
const IPV6_BYTES_MAX = 45;

/** The offset behind "[IPv6]"; `start` when there is none. Zone identifiers have no meaning to another host. */
function endOfIpv6(bytes: Buffer, start: number, end: number): number {
  const close = bytes.indexOf(BRACKET_END, start);
  if (close < 0 || close >= end || close - start - 1 > IPV6_BYTES_MAX) return start;
  return isIpv6(latin1At(bytes, start + 1, close)) ? close + 1 : start;
}

/** RFC 4291, section 2.2: eight groups of 16 bits, one run of zeros left out, the last two perhaps as IPv4. */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  let count = groups.length;
  const last = groups.at(-1);
  if (last !== undefined && IPV4.test(last) && !text.endsWith(":")) {
    groups.pop();
    count++;
  }
  if (!groups.every((group) => GROUP.test(group))) return false;
  return halves.length === 2 ? count < 8 : count === 8;
}
