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

/** The value as it may be shown; null: not at all. */
export type ShowValue = (name: string, value: string) => string;

/** An object: each name with its value, or with the list of them. null: there are no fields. */
export function fieldsJson(fields: FieldBlock | null, show: ShowValue): string | null {
  if (fields === null) return null;
  const values = new Map<string, string[]>();
  for (const [given, value] of fields.entries()) {
    const name = given.toLowerCase();
    const shown = jsonText(show(name, value));
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
    ["requestHeaders", withHeaders ? fieldsJson(exchange.request.fields, show) : null],
    ["responseHeaders", withHeaders ? fieldsJson(exchange.response?.fields ?? null, show) : null],
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
