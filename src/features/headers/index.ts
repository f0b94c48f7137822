/**
 * The feature `headers`: removes, sets and adds fields, of the request on its way to the upstream and of the answer on
 * its way to the client. It never touches what frames a message, names its host or belongs to one connection: those the
 * proxy writes itself.
 *
 * What is set and added is the same for every message, so it is validated and encoded once.
 */
import {
  FIELD_CONNECTION,
  FIELD_CONTENT_LENGTH,
  FIELD_HOST,
  FIELD_KEEP_ALIVE,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_TRAILER,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
  fieldIdOf,
} from "../../core/field-names.ts";
import { EncodedLines, type FieldBlock, ROW } from "../../core/fields.ts";
import type { Feature } from "../../pipeline/phases.ts";
import type { HeaderChanges, HeadersOptions } from "./options.ts";

const FIELDS_OF_THE_PROXY: ReadonlySet<number> = new Set([
  FIELD_CONNECTION,
  FIELD_CONTENT_LENGTH,
  FIELD_HOST,
  FIELD_KEEP_ALIVE,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_TRAILER,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
]);

/**
 * A name in `remove` that ends in "*" stands for all names that begin so.
 * @throws TypeError when a name or value is invalid, or a name is the proxy's own.
 */
export function createHeadersFeature(options: HeadersOptions): Feature {
  const request = compileChanges(options.request);
  const response = compileChanges(options.response);
  return {
    name: "headers",
    ...(request !== null && { request: (exchange) => request(exchange.request.fields) }),
    ...(response !== null && { response: (_exchange, message) => response(message.fields) }),
  };
}

/** null when there is nothing to change. */
function compileChanges({ set, add, remove }: HeaderChanges): ((fields: FieldBlock) => void) | null {
  const setLines = Object.entries(set);
  const addedLines = Object.entries(add).flatMap(([name, values]) => values.map((value) => [name, value] as const));
  const prefixes = remove.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1).toLowerCase());
  const removed = [...remove.filter((name) => !name.endsWith("*")), ...Object.keys(set)];
  for (const name of [...removed, ...Object.keys(add)]) {
    if (FIELDS_OF_THE_PROXY.has(fieldIdOf(name.toLowerCase())))
      throw new TypeError(`${name} is set by the proxy itself`);
  }
  if (removed.length + prefixes.length + addedLines.length === 0) return null;
  const lines = new EncodedLines([...setLines, ...addedLines]);
  return (fields) => {
    for (const name of removed) fields.delete(name);
    if (prefixes.length > 0) removePrefixes(fields, prefixes);
    fields.appendEncoded(lines);
  };
}

function removePrefixes(fields: FieldBlock, prefixes: readonly string[]): void {
  for (let row = 0; row < fields.rowCount; row++) {
    if (fields.isRemoved(row) || FIELDS_OF_THE_PROXY.has(fields.table[row * ROW]!)) continue;
    const name = fields.nameAt(row).toLowerCase();
    if (prefixes.some((prefix) => name.startsWith(prefix))) fields.removeRow(row);
  }
}
