/**
 * Which fields end at this hop (RFC 9110, section 7.6.1). It decides what a message loses before it is sent on; it
 * never adds: Connection, Upgrade, TE and the framing of the next hop are written by who sends.
 *
 * What is removed whatever Connection says, in requests and in answers:
 * - Connection, Keep-Alive, Proxy-Connection, TE, Upgrade, Transfer-Encoding: about this connection only.
 * - Proxy-Authorization, Proxy-Authenticate, Proxy-Authentication-Info: between a client and a proxy that asked for it (section 11.7). Towards the
 *   client a reverse proxy is the origin, so neither has a meaning, and a credential for some proxy must not reach an
 *   upstream.
 *
 * Trailer stays: it announces fields that are passed on, and since RFC 9110 it is no longer hop-by-hop.
 *
 * What Connection nominates is removed too, with two bounds, since the client writes that list:
 * - A name that the proxy recognises (core/field-names) is never nominated. These are the names that framing, routing,
 *   identity and caching depend on (Host, Content-Length, Authorization, Cookie, Cache-Control, X-Forwarded-*, ...).
 *   Each is end-to-end by its definition, so a sender must not nominate it (section 7.6.1), and one that does wants
 *   something to be missing further on. Those of them that are hop-by-hop are removed anyway.
 * - Only lines that were received are removed, never one that the proxy or a feature has added since: otherwise
 *   "Connection: X-User" would take from the upstream what an authentication feature told it.
 */
import {
  FIELD_CONNECTION,
  FIELD_KEEP_ALIVE,
  FIELD_OTHER,
  FIELD_PROXY_AUTHENTICATE,
  FIELD_PROXY_AUTHENTICATION_INFO,
  FIELD_PROXY_AUTHORIZATION,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
  fieldIdOf,
  LOWER,
} from "../core/field-names.ts";
import { type FieldBlock, ROW, ROW_NAME, ROW_NAME_END, ROW_VALUE, ROW_VALUE_END } from "../core/fields.ts";
import { latin1At } from "../core/latin1.ts";
import { listHas, splitList } from "./field-list.ts";

/** HOP_BY_HOP[number of the name] is 1 for the names above. Larger than any number of a name. */
const HOP_BY_HOP = new Uint8Array(256);
for (const id of [
  FIELD_CONNECTION,
  FIELD_KEEP_ALIVE,
  FIELD_PROXY_AUTHENTICATE,
  FIELD_PROXY_AUTHENTICATION_INFO,
  FIELD_PROXY_AUTHORIZATION,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
]) {
  HOP_BY_HOP[id] = 1;
}

/**
 * Names that Connection has beyond this are looked for all at once, and not one by one among all fields: the client says how many there
 * are. What browsers and proxies send is shorter, and is told without a string.
 */
const COMPARED_BYTES_MAX = 64;

const COMMA = 0x2c;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * Removes what must not cross to the next hop. `receivedRows` is the `rowCount` that the section had when it arrived:
 * lines behind them are our own and cannot be nominated.
 */
export function removeHopByHop(fields: FieldBlock, receivedRows: number = fields.rowCount): void {
  const { table, rowCount } = fields;
  for (let row = 0, at = 0; row < rowCount; row++, at += ROW) {
    const id = table[at]!;
    if (id <= FIELD_OTHER || HOP_BY_HOP[id] === 0) continue;
    if (id === FIELD_CONNECTION) removeNominated(fields, row, receivedRows);
    fields.removeRow(row);
  }
}

/** Whether Connection takes away fields that are there: whoever gets this next is asked for something else than it says here. */
export function nominatesFields(fields: FieldBlock): boolean {
  const names = new Set<string>();
  for (let row = fields.rowOfId(FIELD_CONNECTION); row >= 0; row = fields.rowOfId(FIELD_CONNECTION, row + 1)) {
    for (const option of splitList(fields.valueAt(row).toLowerCase())) {
      if (fieldIdOf(option) === FIELD_OTHER) names.add(option);
    }
  }
  return names.size > 0 && rowNamedIn(fields, names, 0, fields.rowCount) >= 0;
}

/** Whether the sender of this request wants trailers of the answer (RFC 9110, section 10.1.4). */
export function acceptsTrailers(fields: FieldBlock): boolean {
  for (let row = fields.rowOfId(FIELD_TE); row >= 0; row = fields.rowOfId(FIELD_TE, row + 1)) {
    if (listHas(fields.valueAt(row), "trailers")) return true;
  }
  return false;
}

/** Connection = #connection-option, each a token. */
function removeNominated(fields: FieldBlock, connectionRow: number, receivedRows: number): void {
  const { bytes, table } = fields;
  const at = connectionRow * ROW;
  const valueEnd = table[at + ROW_VALUE_END]!;
  let start = table[at + ROW_VALUE]!;
  const names = valueEnd - start > COMPARED_BYTES_MAX ? new Set<string>() : null;
  while (start < valueEnd) {
    let comma = start;
    while (comma < valueEnd && bytes[comma] !== COMMA) comma++;
    let end = comma;
    while (start < end && (bytes[start] === SPACE || bytes[start] === TAB)) start++;
    while (end > start && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end--;
    if (end > start) {
      if (names === null) removeNamed(fields, start, end, receivedRows);
      else names.add(latin1At(bytes, start, end).toLowerCase());
    }
    start = comma + 1;
  }
  if (names === null) return;
  let row = rowNamedIn(fields, names, 0, receivedRows);
  for (; row >= 0; row = rowNamedIn(fields, names, row + 1, receivedRows)) fields.removeRow(row);
}

/** The first row from `from` on, before `end`, whose name is one of these (lower case) and none that the proxy recognises; -1: none is. */
function rowNamedIn(fields: FieldBlock, names: ReadonlySet<string>, from: number, end: number): number {
  for (let row = from; row < end; row++) {
    if (fields.table[row * ROW] === FIELD_OTHER && names.has(fields.nameAt(row).toLowerCase())) return row;
  }
  return -1;
}

/** Removes the received lines whose name is `bytes[start, end)`, unless it is one that the proxy recognises. */
function removeNamed(fields: FieldBlock, start: number, end: number, receivedRows: number): void {
  const { bytes, table } = fields;
  next: for (let row = 0, at = 0; row < receivedRows; row++, at += ROW) {
    if (table[at] !== FIELD_OTHER) continue;
    const name = table[at + ROW_NAME]!;
    if (table[at + ROW_NAME_END]! - name !== end - start) continue;
    for (let i = start; i < end; i++) {
      if (LOWER[bytes[i]!] !== LOWER[bytes[name + i - start]!]) continue next;
    }
    fields.removeRow(row);
  }
}
