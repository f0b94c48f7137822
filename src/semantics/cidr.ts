/**
 * Sets of networks, asked on every request: is this address in one of them? It decides by comparing numbers; it never
 * resolves a name and never decides which address is the client's.
 *
 * Networks either nest or are apart, so the outermost ones, sorted, are found by binary search. A lookup allocates
 * nothing.
 */
import { judgeCidr } from "../core/cidr.ts";

/** An address: its family (4 or 6), then its bits, highest first. IPv4 uses the first word only. */
const ADDRESS_WORDS = 5;
/** A range: the first and the last address of a network. */
const RANGE_WORDS = 2 * ADDRESS_WORDS;

/** What `readAddress` found; valid until its next call. */
const found = new Uint32Array(ADDRESS_WORDS);
const groups = new Uint16Array(8);

export class CidrSet {
  readonly #ranges: Uint32Array;
  /** Requests of one connection ask for the same address again and again. */
  #lastAddress = "";
  #lastAnswer = false;

  private constructor(ranges: Uint32Array) {
    this.#ranges = ranges;
  }

  /**
   * Networks such as "10.0.0.0/8" and "fd00::/8", and single addresses. IPv4 written as IPv6 (RFC 4291, section
   * 2.5.5.2) is IPv4; a wider IPv6 network, "::/0" included, has no IPv4 address in it.
   * @throws RangeError that names the text that is no network, or whose bits behind the prefix are not zero.
   */
  static parse(list: readonly string[]): CidrSet {
    const sorted = list.map(rangeOf).sort((a, b) => compare(a, 0, b, 0));
    // Of networks that begin together the widest comes last or is alone: where a lookup ends.
    const outermost: Uint32Array[] = [];
    for (const range of sorted) {
      const last = outermost.at(-1);
      if (last === undefined || compare(range, ADDRESS_WORDS, last, ADDRESS_WORDS) > 0) outermost.push(range);
    }
    const ranges = new Uint32Array(outermost.length * RANGE_WORDS);
    for (const [index, range] of outermost.entries()) ranges.set(range, index * RANGE_WORDS);
    return new CidrSet(ranges);
  }

  /** Whether the address is in one of the networks. What is no IP address (a unix socket's path, "") is in none. */
  has(address: string): boolean {
    if (address === this.#lastAddress) return this.#lastAnswer;
    this.#lastAnswer = readAddress(address) && this.#hasFound();
    this.#lastAddress = address;
    return this.#lastAnswer;
  }

  #hasFound(): boolean {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length / RANGE_WORDS;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(ranges, middle * RANGE_WORDS, found, 0) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compare(found, 0, ranges, (low - 1) * RANGE_WORDS + ADDRESS_WORDS) <= 0;
  }
}

/** The one form of an address that equal addresses share (RFC 5952; IPv4-mapped becomes IPv4); null when it is none. */
export function canonicalAddress(text: string): string | null {
  if (!readAddress(text) || text.includes("%")) return null;
  if (!text.includes(":")) return text;
  const verdict = judgeCidr(text);
  return verdict.kind === "network" ? verdict.cidr.slice(0, verdict.cidr.indexOf("/")) : null;
}

function rangeOf(text: string): Uint32Array {
  const verdict = judgeCidr(text);
  if (verdict.kind === "invalid") throw new RangeError(`${JSON.stringify(text)} is not a network or an address`);
  if (verdict.kind === "hostBits") {
    throw new RangeError(`${JSON.stringify(text)} has bits beyond its prefix: ${verdict.meant} is the network`);
  }
  const slash = verdict.cidr.indexOf("/");
  readAddress(verdict.cidr.slice(0, slash));
  const prefix = Number(verdict.cidr.slice(slash + 1));
  const range = new Uint32Array(RANGE_WORDS);
  range.set(found, 0);
  range.set(found, ADDRESS_WORDS);
  const words = found[0] === 4 ? 1 : 4;
  for (let word = 0; word < words; word++) {
    const bits = Math.min(32, Math.max(0, prefix - word * 32));
    const host = bits === 32 ? 0 : 0xffffffff >>> bits;
    range[ADDRESS_WORDS + 1 + word] = (range[ADDRESS_WORDS + 1 + word]! | host) >>> 0;
  }
  return range;
}

/** Below zero when the address at `a[atA]` comes before the one at `b[atB]`, zero when they are equal. */
function compare(a: Uint32Array, atA: number, b: Uint32Array, atB: number): number {
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    const difference = a[atA + word]! - b[atB + word]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Reads an address into `found`; false when it is none. The zone of a link-local address ("%eth0") is left aside. */
function readAddress(text: string): boolean {
  found.fill(0);
  const ipv4 = readIpv4(text, 0);
  if (ipv4 >= 0) {
    found[0] = 4;
    found[1] = ipv4;
    return true;
  }
  if (!readIpv6(text)) return false;
  const isMapped = groups[5] === 0xffff && !(groups[0]! | groups[1]! | groups[2]! | groups[3]! | groups[4]!);
  found[0] = isMapped ? 4 : 6;
  if (isMapped) found[1] = ((groups[6]! << 16) | groups[7]!) >>> 0;
  else for (let word = 0; word < 4; word++) found[1 + word] = (groups[2 * word]! << 16) | groups[2 * word + 1]!;
  return true;
}

/** The 32 bits of four decimal octets from `start` to the end of the text; -1 when it is anything else. */
function readIpv4(text: string, start: number): number {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = start; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character >= 0x30 && character <= 0x39) {
      // A leading zero would be octal to some readers and decimal to others.
      if (octet === 0) return -1;
      octet = (octet < 0 ? 0 : octet * 10) + character - 0x30;
      if (octet > 255) return -1;
    } else if (character === 0x2e && octet >= 0 && dots < 3) {
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else return -1;
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1;
}

/** RFC 4291 section 2.2, into `groups`; false when the text is no IPv6 address. */
function readIpv6(text: string): boolean {
  const zone = text.indexOf("%");
  const end = zone < 0 ? text.length : zone;
  let count = 0;
  /** How many groups stand before "::". */
  let gap = -1;
  let i = 0;
  if (text.startsWith("::")) {
    gap = 0;
    i = 2;
  }
  while (i < end) {
    const start = i;
    let value = 0;
    for (let digit = hexValue(text.charCodeAt(i)); digit >= 0 && i < end; digit = hexValue(text.charCodeAt(i))) {
      value = value * 16 + digit;
      if (++i - start > 4) return false;
    }
    if (i < end && text.charCodeAt(i) === 0x2e) {
      const ipv4 = zone < 0 ? readIpv4(text, start) : -1;
      if (ipv4 < 0 || count > 6) return false;
      groups[count++] = ipv4 >>> 16;
      groups[count++] = ipv4 & 0xffff;
      break;
    }
    if (i === start || count === 8) return false;
    groups[count++] = value;
    if (i === end) break;
    if (text.charCodeAt(i) !== 0x3a || ++i === end) return false;
    if (text.charCodeAt(i) === 0x3a) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    }
  }
  if (gap < 0) return count === 8;
  if (count === 8) return false;
  groups.copyWithin(gap + 8 - count, gap, count);
  groups.fill(0, gap, gap + 8 - count);
  return true;
}

/** 0 to 15; -1 for what is no hexadecimal digit, NaN included. */
function hexValue(character: number): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const lower = character | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
