/**
 * What a line of `json` says beyond chosen fields: all header fields at once, and the bodies that a debug rule of a forward proxy
 * asks for. Nobody has looked at these names one by one, so that more is covered here than where a field is named.
 */
import type { FieldBlock } from "../core/fields.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { LoggedBody } from "../pipeline/forwarding.ts";
import { SecretNames } from "../semantics/secret-names.ts";
import { decidingAddress } from "./access-record.ts";
import { jsonText, wholeJsonText } from "./access-text.ts";

const secretNames = new SecretNames();

/** Stands for what is not shown. */
export const REDACTED = "[redacted]";

/** Fields that the proxy adds to each request, and that tell no secret. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  ...["host", "via", "forwarded", "max-forwards", "cdn-loop", "connection"],
  ...["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"],
]);

/** The value as it may be shown. */
export type ShowValue = (name: string, value: string) => string;

/** What came from the client; of what features have added for the origin, which may be its credentials, only the names. */
export function requestFieldsJson({ request, receivedRows }: Exchange, show: ShowValue): string {
  return fieldsJson(request.fields, show, receivedRows);
}

/** null: there was no answer. */
export function responseFieldsJson({ response }: Exchange, show: ShowValue): string | null {
  return response === null ? null : fieldsJson(response.fields, show, Number.POSITIVE_INFINITY);
}

/** An object: each name with its value, or with the list of them. */
function fieldsJson(fields: FieldBlock, show: ShowValue, receivedRows: number): string {
  const values = new Map<string, string[]>();
  for (let row = 0; row < fields.rowCount; row++) {
    if (fields.isRemoved(row)) continue;
    const name = fields.nameAt(row).toLowerCase();
    const isKnown = row < receivedRows || OWN_FIELDS.has(name);
    const shown = jsonText(isKnown ? show(name, fields.valueAt(row)) : REDACTED);
    const known = values.get(name);
    if (known === undefined) values.set(name, [shown]);
    else known.push(shown);
  }
  const members = [...values].map(
    ([name, texts]) => `${jsonText(name)}:${texts.length === 1 ? texts[0] : `[${texts.join()}]`}`,
  );
  return `{${members.join()}}`;
}

/** Of a field that nobody has asked for by its name. */
export function isSecretField(name: string, value: string): boolean {
  return secretNames.hasField(name) || secretNames.isToldBy(value);
}

/** Whether the rule that let the exchange through asks for more than the usual. */
export function isDebugged(exchange: Exchange): boolean {
  const debug = exchange.forward === null ? null : exchange.forward.debug;
  return debug?.isAskedFor(decidingAddress(exchange)) === true;
}

/** Members that a debug rule asks for, each with a comma in front; "" when none does. `skipsHeaders`: they are there already. */
export function debugMembers(exchange: Exchange, show: ShowValue, skipsHeaders: boolean): string {
  const debug = exchange.forward === null ? null : exchange.forward.debug;
  const notes = debug === null ? null : debug.notesFor(decidingAddress(exchange));
  if (notes === null) return "";
  const { headers, requestBody, responseBody } = notes;
  const withHeaders = headers && !skipsHeaders;
  const members: readonly (readonly [name: string, json: string | null])[] = [
    ["requestHeaders", withHeaders ? requestFieldsJson(exchange, show) : null],
    ["responseHeaders", withHeaders ? responseFieldsJson(exchange, show) : null],
    ["requestBody", bodyJson(requestBody)],
    ["responseBody", bodyJson(responseBody)],
  ];
  return members.map(([name, json]) => (json === null ? "" : `,"${name}":${json}`)).join("");
}

/** Always an object, whatever is known: a log's reader wants one type under one name. */
function bodyJson(body: LoggedBody | null): string | null {
  if (body === null) return null;
  const { type, encoding, bytes, text, isTruncated } = body;
  const members = [
    type === null ? "" : `,"type":${jsonText(type)}`,
    encoding === null ? "" : `,"encoded":${jsonText(encoding)}`,
    text === null ? "" : `,"text":${wholeJsonText(text)}`,
    isTruncated ? ',"truncated":true' : "",
  ];
  return `{"bytes":${bytes}${members.join("")}}`;
}
