/**
 * Who the client is behind other proxies, and what upstreams are told of it (RFC 7239 and the X-Forwarded-* that came
 * before it). It decides whom to believe: the peer of a connection is a fact, what its fields say counts only when the
 * peer is trusted, and so on hop by hop.
 *
 * What upstreams get: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host. No X-Forwarded-Port: the other two say it
 * already, and a second copy can only disagree. `Forwarded` is kept up where a trusted proxy began it, and not begun.
 */
import {
  FIELD_FORWARDED,
  FIELD_OTHER,
  FIELD_X_FORWARDED_FOR,
  FIELD_X_FORWARDED_HOST,
  FIELD_X_FORWARDED_PORT,
  FIELD_X_FORWARDED_PREFIX,
  FIELD_X_FORWARDED_PROTO,
  FIELD_X_REAL_IP,
} from "../core/field-names.ts";
import { type FieldBlock, ROW, ROW_NAME, ROW_NAME_END } from "../core/fields.ts";
import type { RequestMessage } from "../core/message.ts";
import { type CidrSet, canonicalAddress } from "./cidr.ts";
import { splitList, splitParameters } from "./field-list.ts";
import { FOLDED } from "./name-variants.ts";

/**
 * The address of the client: the peer's own when it is not trusted; otherwise the last address in X-Forwarded-For (or
 * Forwarded, where that is missing) that is not a trusted proxy's. What is no address ends the walk: the hop that wrote
 * it is the last one known.
 */
export function clientAddress(fields: FieldBlock, remote: string, trusted: CidrSet | null): string {
  if (trusted === null || !trusted.has(remote)) return remote;
  const hops = forwardedHops(fields);
  let client = remote;
  for (let index = hops.length - 1; index >= 0; index--) {
    const address = canonicalAddress(withoutPort(hops[index]!));
    if (address === null) break;
    client = address;
    if (!trusted.has(address)) break;
  }
  return client;
}

/** The nodes that the fields name, nearest last. */
function forwardedHops(fields: FieldBlock): readonly string[] {
  const list = joined(fields, FIELD_X_FORWARDED_FOR);
  if (list !== null) return list.split(",").map((hop) => hop.trim());
  const forwarded = joined(fields, FIELD_FORWARDED);
  return forwarded === null ? [] : splitList(forwarded).map(forwardedNode);
}

/** The value of `for` in one element of Forwarded; "" when it has none (RFC 7239, section 4). */
function forwardedNode(element: string): string {
  for (const pair of splitParameters(element)) {
    const match = /^for=(?:"([^"\\]*)"|([^"]*))$/i.exec(pair);
    if (match !== null) return match[1] ?? match[2] ?? "";
  }
  return "";
}

/** "192.0.2.1:80", "[2001:db8::1]:80" and "[2001:db8::1]" without port and brackets. */
function withoutPort(node: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::\d{1,5})?$/i.exec(node);
  return match === null ? node : (match[1] ?? match[2] ?? "");
}

/** What `setForwarded` must know of the hop that brought the request. */
export interface ForwardedFacts {
  /** The peer's address; what is no IP address (a unix socket's) is not passed on. */
  readonly remoteAddress: string;
  /** The peer is a proxy whose fields are believed. */
  readonly trusted: boolean;
  readonly scheme: "http" | "https";
  /** host[:port] that the client addressed; "" when it named none. */
  readonly authority: string;
}

/**
 * Makes the forwarding fields say what we know: an untrusted peer's are removed (every X-Forwarded-*, Forwarded,
 * X-Real-IP), a trusted one's are extended by this hop. To be called before any feature sees the request: later it
 * would remove what features have set, such as X-Forwarded-Prefix.
 */
export function setForwarded(request: RequestMessage, facts: ForwardedFacts): void {
  const { fields } = request;
  const { remoteAddress, scheme, authority } = facts;
  const address = isIpAddress(remoteAddress) ? remoteAddress : null;
  if (!facts.trusted) removeForwarded(fields);
  else {
    const forwarded = joined(fields, FIELD_FORWARDED);
    if (forwarded !== null) {
      fields.deleteId(FIELD_FORWARDED);
      fields.appendTrusted("Forwarded", joinNonEmpty(forwarded, forwardedElement(address, scheme, authority)));
    }
  }
  if (address !== null) {
    const hops = facts.trusted ? joined(fields, FIELD_X_FORWARDED_FOR) : null;
    if (hops !== null) fields.deleteId(FIELD_X_FORWARDED_FOR);
    fields.appendTrusted("X-Forwarded-For", hops === null ? address : joinNonEmpty(hops, address));
  }
  // The first proxy of a chain knows best which scheme and host the client used: a trusted peer's word stands.
  if (fields.rowOfId(FIELD_X_FORWARDED_PROTO) < 0) fields.appendTrusted("X-Forwarded-Proto", scheme);
  if (authority !== "" && fields.rowOfId(FIELD_X_FORWARDED_HOST) < 0) {
    fields.appendTrusted("X-Forwarded-Host", authority);
  }
}

/** A row of a forwarding field: by number where the name has one, by its spelling where not (X-Forwarded-User, X_Real_IP). */
function isForwarding({ bytes, table }: FieldBlock, at: number): boolean {
  switch (table[at]) {
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_FORWARDED_PREFIX:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP:
      return true;
    case FIELD_OTHER:
      return isForwardingName(bytes, table[at + ROW_NAME]!, table[at + ROW_NAME_END]!);
    default:
      return false;
  }
}

/** One pass. */
export function removeForwarded(fields: FieldBlock): void {
  const { rowCount } = fields;
  for (let row = 0, at = 0; row < rowCount; row++, at += ROW) if (isForwarding(fields, at)) fields.removeRow(row);
}

/** Whether `removeForwarded` would remove something. */
export function hasForwarded(fields: FieldBlock): boolean {
  const { rowCount } = fields;
  for (let row = 0, at = 0; row < rowCount; row++, at += ROW) {
    if (isForwarding(fields, at) && !fields.isRemoved(row)) return true;
  }
  return false;
}

const X_FORWARDED = Uint8Array.from("x-forwarded-", (character) => character.charCodeAt(0));
const X_REAL_IP = Uint8Array.from("x-real-ip", (character) => character.charCodeAt(0));

function isForwardingName(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < X_REAL_IP.length || (bytes[start]! | 0x20) !== 0x78) return false;
  if (length === X_REAL_IP.length) return begins(bytes, start, X_REAL_IP);
  return length >= X_FORWARDED.length && begins(bytes, start, X_FORWARDED);
}

/** By all variants: X_Forwarded_For must not come through beside ours. */
function begins(bytes: Uint8Array, start: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (FOLDED[bytes[start + i]!] !== name[i]) return false;
  return true;
}

/** forwarded-element (RFC 7239, section 4). Hosts with a port and IPv6 addresses are no tokens, so they are quoted. */
function forwardedElement(address: string | null, scheme: string, authority: string): string {
  const node = address === null ? "unknown" : address.includes(":") ? `"[${address}]"` : address;
  const host = authority === "" ? "" : `;host=${/[:[]/.test(authority) ? `"${authority}"` : authority}`;
  return `for=${node}${host};proto=${scheme}`;
}

function joinNonEmpty(list: string, element: string): string {
  return list === "" ? element : `${list}, ${element}`;
}

/** The values of all lines of a field as one list; null when it is absent. */
function joined(fields: FieldBlock, id: number): string | null {
  let list: string | null = null;
  for (let row = fields.rowOfId(id); row >= 0; row = fields.rowOfId(id, row + 1)) {
    list = list === null ? fields.valueAt(row) : `${list}, ${fields.valueAt(row)}`;
  }
  return list;
}

/** The transport gives addresses in canonical form; everything else it gives as an address is a path or empty. */
export function isIpAddress(text: string): boolean {
  return text !== "" && !text.includes("/") && (text.includes(":") || /^[0-9.]+$/.test(text));
}
