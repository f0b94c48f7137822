/**
 * The feature `headers`: removes, sets and adds fields, of the request on its way to the upstream and of the answer on
 * its way to the client. It never touches what frames a message, names its host or belongs to one connection: those the
 * proxy writes itself.
 *
 * What is set and added is the same for every message, so it is validated and encoded once; only values with parts of the request in
 * them are made for each.
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
import { EncodedLines, type FieldBlock, isToken, ROW } from "../../core/fields.ts";
import { urlPartOf } from "../../core/request-template.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { isIpAddress } from "../../semantics/forwarded.ts";
import { foldedName, NameVariants } from "../../semantics/name-variants.ts";
import type { HeaderChanges, HeadersOptions, HeaderValue } from "./options.ts";

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
  const request = compileChanges(options.request, true);
  const response = compileChanges(options.response, false);
  return {
    name: "headers",
    ...(request !== null && { request: (exchange) => request.apply(exchange.request.fields, exchange) }),
    ...(response !== null && { response: (exchange, message) => response.apply(message.fields, exchange) }),
    // Only these go: some fields have no other place, as grpc-status.
    ...(response?.isGuard && { trailers: (_exchange, fields) => response.clear(fields) }),
  };
}

/** One that is spelt otherwise, and only to be removed, is meant as it is: `remove: [x_user]` leaves X-User. */
const PLAIN_NAME = /^[a-z0-9-]+$/i;

type Template = Exclude<HeaderValue, string>;
type Line = readonly [name: string, value: HeaderValue];
type Change = (fields: FieldBlock, exchange: Exchange) => void;

interface Changes {
  readonly apply: Change;
  /** Some are set or removed: what came under their names shall reach nobody, in trailers neither. */
  readonly isGuard: boolean;
  clear(fields: FieldBlock): void;
}

/**
 * null when there is nothing to change. What an operator sets or removes of a request, upstreams shall not find under another spelling
 * of the name, which the client may have sent.
 */
function compileChanges({ set, add, remove }: HeaderChanges, isOfRequest: boolean): Changes | null {
  const setLines: Line[] = Object.entries(set);
  const addedLines = Object.entries(add).flatMap(([name, values]) => values.map((value): Line => [name, value]));
  const prefixes = remove.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1).toLowerCase());
  const removed = [...remove.filter((name) => !name.endsWith("*")), ...Object.keys(set)];
  for (const name of [...removed, ...Object.keys(add)]) {
    if (FIELDS_OF_THE_PROXY.has(fieldIdOf(name.toLowerCase())))
      throw new TypeError(`${name} is set by the proxy itself`);
  }
  if (removed.length + prefixes.length + addedLines.length === 0) return null;
  const append = compileLines([...setLines, ...addedLines]);
  // What frames a message stays, whatever is set beside it: `content_length`.
  const isFolded = (name: string): boolean =>
    isOfRequest &&
    (PLAIN_NAME.test(name) || Object.hasOwn(set, name)) &&
    !FIELDS_OF_THE_PROXY.has(fieldIdOf(foldedName(name)));
  const spellings = new NameVariants(removed.filter(isFolded));
  const exact = removed.filter((name) => !isFolded(name));
  const isGuard = removed.length + prefixes.length > 0;
  const clear = (fields: FieldBlock): void => {
    spellings.removeFrom(fields);
    for (const name of exact) fields.delete(name);
    if (prefixes.length > 0) removePrefixes(fields, prefixes, isOfRequest);
  };
  const apply: Change = (fields, exchange) => {
    // What is set or removed may say who asks: an upstream must not find what the client says there as a trailer.
    if (isGuard && isOfRequest) exchange.passesTrailers = false;
    clear(fields);
    append(fields, exchange);
  };
  return { apply, isGuard, clear };
}

/** Adds lines in their order. Those that are the same for every message are encoded once. */
function compileLines(lines: readonly Line[]): Change {
  const texts = lines.flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : []));
  const encoded = new EncodedLines(texts);
  if (texts.length === lines.length) return (fields) => fields.appendEncoded(encoded);
  const pieces = lines.map(([name, value]): Change => {
    if (typeof value === "string") return compileLines([[name, value]]);
    if (!isToken(name)) throw new TypeError(`invalid field name ${JSON.stringify(name)}`);
    return (fields, exchange) => {
      const made = madeValue(value, exchange);
      // Without an address: who looks for one shall not find a field with none.
      if (made !== "") fields.append(name, made);
    };
  });
  return (fields, exchange) => {
    for (const piece of pieces) piece(fields, exchange);
  };
}

/** No space is left at either end where the part that stands there is empty. */
function madeValue(template: Template, { request, clientAddress }: Exchange): string {
  let value = "";
  for (const piece of template) {
    if (typeof piece === "string") value += piece;
    else if (piece.part !== "client") value += urlPartOf(request, piece.part);
    // The address of a unix socket is a path.
    else if (isIpAddress(clientAddress)) value += clientAddress;
  }
  return value.trim();
}

function removePrefixes(fields: FieldBlock, prefixes: readonly string[], isOfRequest: boolean): void {
  for (let row = 0; row < fields.rowCount; row++) {
    if (fields.isRemoved(row) || FIELDS_OF_THE_PROXY.has(fields.table[row * ROW]!)) continue;
    const name = fields.nameAt(row).toLowerCase();
    // A folded name begins with a prefix as it is only where that is plain.
    const folded = isOfRequest ? foldedName(name) : name;
    if (prefixes.some((prefix) => name.startsWith(prefix) || folded.startsWith(prefix))) fields.removeRow(row);
  }
}
