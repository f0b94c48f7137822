/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): the header in which a load balancer tells whose
 * connection it passes on. It decides what the header says; whether the sender may be believed is decided by who calls.
 *
 *     version 1  "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CRLF, at most 107 bytes
 *     version 2  a signature of 12 bytes, version and command, family and transport, length; addresses; extensions (TLVs)
 *
 * A listener either expects a header or does not: where it does, a connection without one is refused, since a client could
 * otherwise leave it out or bring its own. Bytes are judged in their order, each by those before it alone, so that a header
 * in pieces gets the verdict that it would get whole. Stricter than the document: numbers have no leading zeros and no
 * signs, and addresses only the forms that all readers share.
 */
import { addressAt, bytesOfAddress } from "../../core/address-bytes.ts";
import { latin1At } from "../../core/latin1.ts";
import type { Address } from "../../core/ports.ts";
import {
  ERR_ADDRESS,
  ERR_FAMILY,
  ERR_LENGTH,
  ERR_LINE,
  ERR_LINE_END,
  ERR_LINE_TOO_LONG,
  ERR_NO_HEADER,
  ERR_PORT,
  ERR_TLV,
  ERR_TOO_LARGE,
  ERR_VERSION_OR_COMMAND,
} from "./errors.ts";

/** Section 2.1: the longest line there can be, its CRLF included. */
export const PROXY_LINE_BYTES_MAX = 107;
/**
 * A header of version 2 with all its extensions. Its length allows 64 KiB; the usual ones (authority, unique id, names of
 * endpoints) have some hundred bytes, and the largest, a client's certificate, one or two thousand.
 */
export const PROXY_HEADER_BYTES_MAX = 4096;

const CR = 0x0d;
const LF = 0x0a;
/** Section 2.2: made so that no other protocol begins with it. */
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const LINE_START = Buffer.from("PROXY ", "latin1");
/** Signature, version and command, family and transport, length. */
const HEAD_BYTES = 16;
/** Type and length of an extension. */
const TLV_HEAD_BYTES = 3;

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const FAMILY_UNSPECIFIED = 0x00;

/** Bytes of both addresses and ports, by family and transport; unix sockets' are paths, which mean nothing here. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [FAMILY_UNSPECIFIED, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);

/** What a header said. Filled by a successful decode; before that, and when it says nothing, both addresses are null. */
export class ProxyHeader {
  /** Whose connection it is; null: the connection's own peer (LOCAL, UNKNOWN, UNSPEC, unix sockets). */
  source: Address | null = null;
  /** Where it had connected to; null together with `source`. */
  destination: Address | null = null;
}

/**
 * Reads a header at `buffer[start, end)`. Returns how many bytes it has, 0 when more are needed, or an ERR_ code.
 */
export function decodeProxyHeader(buffer: Buffer, start: number, end: number, header: ProxyHeader): number {
  header.source = header.destination = null;
  if (start === end) return 0;
  const isLine = buffer[start] === LINE_START[0];
  const beginning = isLine ? LINE_START : SIGNATURE;
  const known = Math.min(end - start, beginning.length);
  for (let i = 0; i < known; i++) if (buffer[start + i] !== beginning[i]) return ERR_NO_HEADER;
  if (known < beginning.length) return 0;
  return isLine ? readLine(buffer, start, end, header) : readBinary(buffer, start, end, header);
}

/** Section 2.1. A line ends at its first CR, which LF must follow; nothing in it is read before. */
function readLine(buffer: Buffer, start: number, end: number, header: ProxyHeader): number {
  const stop = Math.min(end, start + PROXY_LINE_BYTES_MAX);
  let i = start;
  while (i < stop && buffer[i] !== CR && buffer[i] !== LF) i++;
  if (i + 1 >= start + PROXY_LINE_BYTES_MAX) return ERR_LINE_TOO_LONG;
  if (i < stop && buffer[i] === LF) return ERR_LINE_END;
  if (i + 1 >= end) return 0;
  if (buffer[i + 1] !== LF) return ERR_LINE_END;
  const refused = readWords(latin1At(buffer, start, i).split(" "), header);
  return refused === 0 ? i + 2 - start : refused;
}

const PORT = /^(?:0|[1-9]\d{0,4})$/;

/** "PROXY", the protocol, two addresses, two ports. Behind UNKNOWN anything may stand, and is ignored. */
function readWords(words: readonly string[], header: ProxyHeader): number {
  const [, protocol, source = "", destination = "", sourcePort = "", destinationPort = ""] = words;
  if (protocol === "UNKNOWN") return 0;
  const length = protocol === "TCP4" ? 4 : protocol === "TCP6" ? 16 : 0;
  if (length === 0 || words.length !== 6) return ERR_LINE;
  const from = bytesOfAddress(source);
  const to = bytesOfAddress(destination);
  if (from?.length !== length || to?.length !== length) return ERR_ADDRESS;
  for (const port of [sourcePort, destinationPort]) if (!PORT.test(port) || Number(port) > 65_535) return ERR_PORT;
  header.source = addressAt(Uint8Array.from(from), 0, length, Number(sourcePort));
  header.destination = addressAt(Uint8Array.from(to), 0, length, Number(destinationPort));
  return 0;
}

/** Section 2.2. */
function readBinary(buffer: Buffer, start: number, end: number, header: ProxyHeader): number {
  const have = end - start;
  if (have < 13) return 0;
  const command = buffer[start + 12]!;
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return ERR_VERSION_OR_COMMAND;
  if (have < 14) return 0;
  // The balancer's own connection, such as a health check: what it says of addresses is to be skipped, whatever it is.
  const family = command === COMMAND_LOCAL ? FAMILY_UNSPECIFIED : buffer[start + 13]!;
  const addressBytes = ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) return ERR_FAMILY;
  if (have < HEAD_BYTES) return 0;
  const length = buffer.readUInt16BE(start + 14);
  if (length < addressBytes) return ERR_LENGTH;
  if (HEAD_BYTES + length > PROXY_HEADER_BYTES_MAX) return ERR_TOO_LARGE;
  if (have < HEAD_BYTES + length) return 0;
  if (family === FAMILY_UNSPECIFIED) return HEAD_BYTES + length;
  const addresses = start + HEAD_BYTES;
  if (!areTlvs(buffer, addresses + addressBytes, addresses + length)) return ERR_TLV;
  if (addressBytes !== 216) readAddresses(buffer, addresses, addressBytes === 12 ? 4 : 16, header);
  return HEAD_BYTES + length;
}

/** Both addresses, then both ports. */
function readAddresses(buffer: Buffer, at: number, length: 4 | 16, header: ProxyHeader): void {
  const ports = at + 2 * length;
  header.source = addressAt(buffer, at, length, buffer.readUInt16BE(ports));
  header.destination = addressAt(buffer, at + length, length, buffer.readUInt16BE(ports + 2));
}

/** Section 2.2.7: extensions one behind the other, the last of which ends at `end`. None of them means anything to us. */
function areTlvs(buffer: Buffer, start: number, end: number): boolean {
  let at = start;
  while (end - at >= TLV_HEAD_BYTES) at += TLV_HEAD_BYTES + buffer.readUInt16BE(at + 1);
  return at === end;
}
